import struct
import subprocess
import sys
from hashlib import sha256

import pytest

from jackfield.kv_cache import BlockHashes
from jackfield.kv_cache.prefix_hash import root_hash
from jackfield.request import PrefixKey

TOKENS = list(range(12))


def hashes(tokens=TOKENS, size=4, **key):
    return list(BlockHashes(PrefixKey(**key)).first(len(tokens) // size, tokens, size))


def test_equal_tokens_and_keys_give_equal_hashes():
    assert hashes() == hashes()


def test_a_hash_stands_for_all_tokens_before_its_end():
    changed = hashes([99, *TOKENS[1:]])

    assert not set(changed) & set(hashes())


def test_a_later_token_leaves_earlier_hashes_alone():
    changed = hashes([*TOKENS[:-1], 99])

    assert changed[:2] == hashes()[:2]
    assert changed[2] != hashes()[2]


@pytest.mark.parametrize(
    "key", [{"salt": "tenant"}, {"adapter": "tenant"}, {"media": ("tenant",)}], ids=str
)
def test_each_part_of_the_prefix_key_changes_all_hashes(key):
    assert not set(hashes(**key)) & set(hashes())


def test_parts_of_the_key_cannot_be_mistaken_for_each_other():
    keys = [
        PrefixKey(salt="a", adapter="b"),
        PrefixKey(salt="ab"),
        PrefixKey(adapter="ab"),
        PrefixKey(media=("a", "b")),
        PrefixKey(media=("ab",)),
        PrefixKey(salt='a", "b'),
    ]

    assert len({root_hash(key) for key in keys}) == len(keys)


def test_the_chain_grows_with_the_tokens():
    chain = BlockHashes(PrefixKey())
    chain.first(1, TOKENS[:5], 4)

    assert chain.first(3, TOKENS, 4) == hashes()


def test_hashes_are_equal_in_another_process():
    code = (
        "from jackfield.kv_cache import BlockHashes\n"
        "from jackfield.request import PrefixKey\n"
        "chain = BlockHashes(PrefixKey(salt='s', media=('m',)))\n"
        "print(chain.first(3, list(range(12)), 4)[-1].hex())"
    )
    command = [sys.executable, "-c", code]

    outputs = {
        subprocess.run(
            command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert outputs == {hashes(salt="s", media=("m",))[-1].hex()}


def test_a_hash_is_the_documented_sha256():
    root = sha256(b'["", "", []]').digest()
    first = sha256(root + struct.pack("<4I", 0, 1, 2, 3)).digest()

    assert hashes()[0] == first  # a store that outlives this process knows blocks by it
