"""The page about models shows code that runs."""

import re
import tomllib
from pathlib import Path

import pytest

from jackfield_torch.model_features import MODEL_FEATURES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "writing-a-model.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_function_on_the_page_is_the_one_of_the_example():
    _, function = blocks("python")[0].split("\n\n\n")

    assert function in (ROOT / "examples" / "custom_model.py").read_text()


def test_the_features_on_the_page_are_those_that_the_torch_runtime_computes():
    (table,) = blocks("text")
    words = re.findall(r"^(\w+) +(.*(?:\n +.*)*)", table, re.MULTILINE)

    listed = {f"{word}.{name}" for word, names in words for name in re.split(r",\s+", names)}

    assert listed == MODEL_FEATURES


def test_the_readme_says_how_long_a_family_is():
    readme, table = ((ROOT / name).read_text() for name in ("README.md", "docs/third_party.md"))
    (said,) = re.findall(r"`ModelSpec`, about (\d+) lines", readme)
    (counted,) = re.findall(r"^\| `model_family` .*\| (\d+) \|$", table, re.MULTILINE)

    assert abs(int(said) - int(counted)) <= 5


@pytest.mark.parametrize("block", blocks("toml"))
def test_settings_on_the_page_name_the_example(block):
    assert "stablelm" in str(tomllib.loads(block))


@pytest.mark.parametrize("name", re.findall(r"`(read_\w+|make_spec|STANDARD_MODULES)`", PAGE))
def test_helpers_on_the_page_exist(name):
    from jackfield.interfaces import expert_config, model_config

    assert hasattr(model_config, name) or hasattr(expert_config, name)
