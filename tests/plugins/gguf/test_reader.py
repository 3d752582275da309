"""The header is read as the gguf package reads it, and a broken file is named."""

import struct

import gguf
import numpy as np
import pytest
from gguf import GGUFValueType as Type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.errors import CheckpointError, ModelNotFound
from jackfield_gguf.reader import GgufFile, shortest

EVERY_TYPE = {
    "x.uint8": (200, Type.UINT8),
    "x.int8": (-100, Type.INT8),
    "x.uint16": (60_000, Type.UINT16),
    "x.int16": (-30_000, Type.INT16),
    "x.uint32": (4_000_000_000, Type.UINT32),
    "x.int32": (-2_000_000_000, Type.INT32),
    "x.float32": (0.5, Type.FLOAT32),
    "x.bool": (True, Type.BOOL),
    "x.string": ("héllo 東京", Type.STRING),
    "x.uint64": (2**63, Type.UINT64),
    "x.int64": (-(2**62), Type.INT64),
    "x.float64": (0.1, Type.FLOAT64),
    "x.strings": ["", "a", "日本"],
    "x.ints": [1, -2, 3],
    "x.floats": [0.5, -1.5],
    "x.bools": [True, False],
}


def assert_same_as_the_package(ours, path):
    theirs = gguf.GGUFReader(path)
    fields = {k: f.contents() for k, f in theirs.fields.items() if not k.startswith("GGUF.")}
    assert set(ours) == set(fields)
    for key, expected in fields.items():
        found = ours[key]
        if isinstance(found, float):
            assert np.float32(found) == np.float32(expected), key
        else:
            assert found == expected, key
    assert list(ours.tensors) == [tensor.name for tensor in theirs.tensors]
    for tensor in theirs.tensors:
        found = ours.tensors[tensor.name]
        assert found.start == tensor.data_offset
        assert found.stop - found.start == tensor.n_bytes
        assert list(found.shape) == list(reversed(tensor.shape.tolist()))
        assert found.format.name == tensor.tensor_type.name


def test_metadata_of_every_type_are_read(maker, open_file):
    file = open_file(maker.write(other=EVERY_TYPE))

    assert_same_as_the_package(file, maker.path)


def test_a_count_needs_no_decoding(maker, open_file):
    assert open_file(maker.write(other={"x.strings": ["a", "b", "c"]})).count("x.strings") == 3


@pytest.mark.parametrize("alignment", [32, 64, 4096])
def test_tensors_stand_where_the_alignment_says(maker, open_file, alignment):
    tensors = {"a": np.arange(5, dtype=np.float32), "b": np.ones((3, 2), np.float16)}
    file = open_file(maker.write(tensors=tensors, alignment=alignment))

    assert_same_as_the_package(file, maker.path)
    assert bytes(file.data(file.tensors["a"])) == tensors["a"].tobytes()
    assert file.tensors["b"].start % alignment == 0


@pytest.mark.cpu_model
def test_a_real_file_is_read_as_the_package_reads_it(smollm2, open_file):
    assert_same_as_the_package(open_file(smollm2), smollm2)


@pytest.mark.slow
def test_a_file_with_a_large_vocabulary_is_read_as_the_package_reads_it(gemma3, open_file):
    assert_same_as_the_package(open_file(gemma3), gemma3)


def refuse(path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        GgufFile(path)
    assert str(path) in str(caught.value)


def test_a_bad_magic_tells_what_was_found_and_expected(maker):
    maker.path.write_bytes(b"GGML" + bytes(100))

    refuse(maker.path, "starts with b'GGML'; a GGUF file starts with b'GGUF'")


@pytest.mark.parametrize(
    ("version", "message"),
    [(1, "version 1; known are 2 and 3"), (4, "version 4"), (3 << 24, "big-endian")],
)
def test_an_unknown_version_is_refused(maker, version, message):
    data = bytearray(maker.write().read_bytes())
    data[4:8] = struct.pack("<I", version)
    maker.path.write_bytes(data)

    refuse(maker.path, message)


def test_a_file_cut_anywhere_in_its_header_is_refused(maker):
    data = maker.write(other={"x.strings": ["some", "text"], "x.ints": [1, 2]}).read_bytes()

    for length in range(len(data) - 640):  # 640 bytes of the one tensor follow
        maker.path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"model\.gguf"):
            GgufFile(maker.path)


def test_a_file_cut_in_its_data_names_tensor_and_sizes(maker):
    data = maker.write().read_bytes()
    maker.path.write_bytes(data[: -640 + 100])

    refuse(
        maker.path, r"'token_embd.weight' \(F32, shape \[5, 32\]\) needs 640 bytes .* 540 too early"
    )


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ModelNotFound, match="nowhere.gguf"):
        GgufFile(tmp_path / "nowhere.gguf")


def test_a_type_that_is_not_read_is_named_with_those_that_are(maker):
    blocks = np.zeros((1, 40), np.uint8)
    maker.write(tensors={"x": (blocks, gguf.GGMLQuantizationType.Q8_1)})

    refuse(maker.path, "'x' has the type Q8_1; types that are read: F32, F16")


def test_two_tensors_of_one_name_are_refused(maker):
    data = maker.write(tensors={"token_embd.weighs": np.zeros(4, np.float32)}).read_bytes()
    maker.path.write_bytes(data.replace(b"token_embd.weighs", b"token_embd.weight"))

    refuse(maker.path, "two tensors 'token_embd.weight'")


def test_an_alignment_of_nothing_is_refused(maker):
    data = maker.write(alignment=64).read_bytes()
    key = b"general.alignment" + struct.pack("<I", Type.UINT32)
    maker.path.write_bytes(data.replace(key + struct.pack("<I", 64), key + bytes(4)))

    refuse(maker.path, "general.alignment is 0")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.integers(8, 500), st.integers(0, 255), min_size=1, max_size=4))
def test_a_damaged_header_is_read_or_refused_but_never_crashes(maker, changes):
    data = bytearray(maker.write(other={"x.strings": ["some", "text"]}).read_bytes())
    for place, value in changes.items():
        data[place] = value
    maker.path.write_bytes(data)

    try:
        file = GgufFile(maker.path)
    except CheckpointError:
        return
    assert all(file[key] is not None for key in file)
    file.close()


@pytest.mark.parametrize("value", [1e-5, 1e-6, 10000.0, 0.1, 1 / 3, 0.0, -2.5, 3.4e38])
def test_a_float32_becomes_the_shortest_number_that_is_it(value):
    stored = float(np.float32(value))

    assert np.float32(shortest(stored)) == np.float32(value)
    assert len(repr(shortest(stored))) <= len(repr(stored))


def test_the_epsilon_of_a_config_is_written_as_people_do():
    assert shortest(float(np.float32(1e-5))) == 1e-5
