"""What the card of FlashAttention says of needs and of saved facts."""

import inspect
from dataclasses import replace

import fake_fa2
import fake_fa3
import fake_fa4
import pytest

from jackfield_flash_attn import fa2, fa3, fa4
from jackfield_flash_attn.backend import FlashAttnBackend
from jackfield_flash_attn.variant import Ask
from jackfield_flash_attn.variants import choose, missing
from jackfield_torch.interfaces.attention_backend import AttentionNeed

NEED = AttentionNeed(
    device="cuda",
    dtype="bfloat16",
    cache_dtype="bfloat16",
    num_heads=16,
    num_kv_heads=8,
    head_size=128,
    block_size=16,
)
HERE = {  # a Hopper card with everything
    "chip": 9,
    "flash_attn_3": "3.0.0b1",
    "flash_attn_3.missing": "",
    "flash_attn_4": "4.0.0b36",
    "flash_attn_4.missing": "",
    "flash_attn_2": "2.8.3",
    "flash_attn_2.missing": "",
    "torch_varlen": "2.13.0",
    "torch_varlen.missing": "",
}


def chosen(facts, features=(), head_size=128, block_size=16):
    ask = Ask(head_size=head_size, block_size=block_size, features=frozenset(features))
    found, _ = choose(FlashAttnBackend.variants, ask, {**HERE, **facts})
    return found and found.name


@pytest.mark.parametrize(
    ("facts", "asked", "name"),
    [
        ({}, {}, "flash_attn_3"),
        ({"flash_attn_3.missing": "is not installed"}, {}, "flash_attn_4"),
        ({}, {"features": ["sinks"]}, "flash_attn_4"),
        ({"chip": 8}, {"block_size": 256}, "flash_attn_2"),
        ({"chip": 8, "flash_attn_2.missing": "gone"}, {"block_size": 256}, "torch_varlen"),
        ({"chip": 8}, {}, None),
        ({"chip": 10}, {"head_size": 80}, "flash_attn_4"),
    ],
)
def test_the_first_release_that_serves_the_layers_is_taken(facts, asked, name):
    assert chosen(facts, **asked) == name


def test_each_release_says_why_it_is_not_taken():
    facts = {
        **HERE,
        "chip": 8,
        "flash_attn_3.missing": "is not installed",
        "flash_attn_2.missing": "is installed and cannot be imported: ImportError: undefined symbol",
        "torch_varlen.missing": "reads no blocks in this release (2.11.0): varlen_attn has no block_table",
    }

    reasons = {reason.code: reason.text for reason in FlashAttnBackend().check(NEED, facts)}

    assert reasons["flash_attn_3"].startswith("FlashAttention 3 is not installed; build the folder")
    assert (
        "4.0.0b36 reads blocks on chips of capability 9.x or 10.x or 11.x, not 8"
        in (reasons["flash_attn_4"])
    )
    assert "undefined symbol" in reasons["flash_attn_2"]
    assert "varlen_attn has no block_table; install torch 2.13" in reasons["torch_varlen"]


def test_a_block_size_that_is_refused_names_one_that_is_not():
    facts = {**HERE, "chip": 8}

    texts = [reason.text for reason in FlashAttnBackend().check(NEED, facts)]

    assert any("set cache.block_size to 256" in text for text in texts)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"device": "cpu"}, "device"),
        ({"dtype": "float32"}, "dtype"),
        ({"cache_dtype": "float8_e4m3"}, "dtype"),
        ({"cache_dtype": "float16"}, "cache_dtype"),
    ],
)
def test_what_no_release_computes_is_refused(change, code):
    (reason,) = FlashAttnBackend().check(replace(NEED, **change), HERE)

    assert reason.code == code


def test_a_release_that_is_not_installed_says_so():
    assert missing(fa3.VARIANT) == "is not installed"


def test_a_release_that_reads_no_blocks_is_told_by_its_signature(monkeypatch):
    old = replace(fa2.VARIANT, modules=("fake_fa2",), distributions=())
    monkeypatch.setattr(fake_fa2, "flash_attn_varlen_func", lambda q, k, v: None)

    assert "flash_attn_varlen_func has no block_table" in missing(old)


def test_a_release_that_cannot_be_imported_says_why(monkeypatch):
    broken = replace(fa2.VARIANT, modules=("no_such_library",), distributions=())

    assert "cannot be imported: ModuleNotFoundError: No module named" in missing(broken)


@pytest.mark.parametrize(
    ("variant", "fake"), [(fa2.VARIANT, fake_fa2), (fa3.VARIANT, fake_fa3), (fa4.VARIANT, fake_fa4)]
)
def test_the_stand_in_has_the_signature_of_the_library_where_it_is_installed(variant, fake):
    if missing(variant):
        pytest.skip(f"{variant.label} {missing(variant)}")
    real = inspect.signature(getattr(variant.load(), variant.function))
    stand_in = inspect.signature(getattr(fake, variant.function))

    assert list(real.parameters) == list(stand_in.parameters)
