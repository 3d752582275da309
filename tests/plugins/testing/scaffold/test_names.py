"""One word gives all names of a package."""

import pytest

from jackfield.errors import ConfigError
from jackfield_testing.scaffold.names import names_of


@pytest.mark.parametrize(
    ("word", "name", "title"),
    [
        ("acme", "acme", "Acme"),
        ("acme-fast", "acme_fast", "AcmeFast"),
        ("acme_fast", "acme_fast", "AcmeFast"),
        ("AcmeFast", "acme_fast", "AcmeFast"),
        ("jackfield-acme", "acme", "Acme"),
        ("int8", "int8", "Int8"),
        ("FP8Fast", "fp8_fast", "Fp8Fast"),
    ],
)
def test_a_plugin_has_one_name_in_all_spellings(word, name, title):
    names = names_of(word)

    assert (names.name, names.title) == (name, title)
    assert names.package == f"jackfield_{name}"
    assert names.distribution == f"jackfield-{name.replace('_', '-')}"


@pytest.mark.parametrize(
    ("word", "architecture", "package"),
    [
        ("acme", "AcmeForCausalLM", "jackfield_acme"),
        ("StableLmForCausalLM", "StableLmForCausalLM", "jackfield_stable_lm"),
        ("GPT2LMHeadModel", "GPT2LMHeadModel", "jackfield_gpt2"),
        ("AcmeModel", "AcmeModel", "jackfield_acme"),
    ],
)
def test_a_model_is_called_as_its_architecture(word, architecture, package):
    names = names_of(word, is_model=True)

    assert (names.name, names.package) == (architecture, package)


@pytest.mark.parametrize(
    "word", ["", "8bit", "a b", "a--b", "acme/..", "jackfield-", "ä", "a" * 31]
)
def test_what_is_no_name_is_refused_with_one_that_is(word):
    with pytest.raises(ConfigError, match="Try: acme"):
        names_of(word)
