"""Safetensors: what the library writes is read back without a copy, and broken files are named."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from jackfield.checkpoint.safetensors import SafetensorsFormat
from jackfield.errors import CheckpointError
from jackfield.interfaces.model_source import ModelFiles

FORMAT = SafetensorsFormat()
DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip


def write_raw(path, header, data=b""):
    """A safetensors file with any header, valid or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def open_raw(folder, header, data=b""):
    write_raw(folder.path / "model.safetensors", header, data)
    return FORMAT.open(folder.files)


def to_torch(checkpoint, name, dtype):
    info = checkpoint.tensors[name]
    data = bytearray(checkpoint.read(name))
    return torch.frombuffer(data, dtype=dtype).reshape(info.shape)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_is_read_as_the_library_wrote_it(folder, dtype):
    tensor = torch.arange(12).reshape(3, 4).to(dtype)
    save_file({"other": torch.ones(5), "x": tensor}, folder.path / "model.safetensors")

    with FORMAT.open(folder.files) as checkpoint:
        info = checkpoint.tensors["x"]
        found = to_torch(checkpoint, "x", dtype)

    assert info.shape == (3, 4)
    assert info.dtype.itemsize == tensor.element_size()
    assert info.dtype.name.startswith(str(dtype).removeprefix("torch.").removesuffix("fn"))
    assert torch.equal(found.view(torch.uint8), tensor.view(torch.uint8))


def test_reading_copies_nothing(folder):
    save_file({"x": torch.ones(3)}, folder.path / "model.safetensors")

    with FORMAT.open(folder.files) as checkpoint:
        first, second = checkpoint.read("x"), checkpoint.read("x")

        assert first.obj is second.obj
        assert first.readonly
        assert first.format == "B"


def test_the_config_is_that_of_the_folder(folder):
    save_file({"x": torch.ones(3)}, folder.path / "model.safetensors")

    with FORMAT.open(folder.files) as checkpoint:
        assert checkpoint.config["architectures"] == ["TinyForCausalLM"]


def test_an_empty_tensor_and_a_number_are_tensors(folder):
    tensors = {"none": torch.ones(0, 4), "one": torch.tensor(3.0)}
    save_file(tensors, folder.path / "model.safetensors")

    with FORMAT.open(folder.files) as checkpoint:
        assert checkpoint.tensors["none"].shape == (0, 4)
        assert len(checkpoint.read("none")) == 0
        assert to_torch(checkpoint, "one", torch.float32) == 3.0


def test_a_buffer_that_is_still_held_does_not_stop_the_close(folder):
    save_file({"x": torch.ones(3)}, folder.path / "model.safetensors")
    checkpoint = FORMAT.open(folder.files)
    held = checkpoint.read("x")

    checkpoint.close()

    assert len(held) == 12


def write_shards(folder, **changes):
    save_file({"a": torch.zeros(2)}, folder.path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.ones(2)}, folder.path / "model-00002-of-00002.safetensors")
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    folder.add_json("model.safetensors.index.json", {"weight_map": {**places, **changes}})


def test_shards_are_read_by_their_index(folder):
    write_shards(folder)
    save_file({"a": torch.ones(9)}, folder.path / "unrelated.safetensors")

    with FORMAT.open(folder.files) as checkpoint:
        assert sorted(checkpoint.tensors) == ["a", "b"]
        assert to_torch(checkpoint, "b", torch.float32).tolist() == [1, 1]


def test_a_shard_that_is_missing_is_named(folder):
    write_shards(folder)
    (folder.path / "model-00002-of-00002.safetensors").unlink()

    with pytest.raises(CheckpointError, match="names the shard model-00002-of-00002"):
        FORMAT.open(folder.files)


def test_a_tensor_that_the_index_has_but_no_shard_is_named(folder):
    write_shards(folder, c="model-00002-of-00002.safetensors")

    with pytest.raises(CheckpointError, match="'c' stands in model-00002-of-00002"):
        FORMAT.open(folder.files)


def test_an_index_without_a_map_is_refused(folder):
    write_shards(folder)
    folder.add_json("model.safetensors.index.json", {"weight_map": []})

    with pytest.raises(CheckpointError, match="has no 'weight_map'"):
        FORMAT.open(folder.files)


def test_one_tensor_in_two_files_without_an_index_is_refused(folder):
    save_file({"a": torch.zeros(2)}, folder.path / "one.safetensors")
    save_file({"a": torch.zeros(2)}, folder.path / "two.safetensors")

    with pytest.raises(CheckpointError, match=r"'a' stands in .*one.safetensors and in .*two"):
        FORMAT.open(folder.files)


def test_a_copy_in_the_authors_own_layout_is_passed_over(folder):
    save_file({"a": torch.zeros(2)}, folder.path / "consolidated.safetensors")
    save_file({"a": torch.zeros(2)}, folder.path / "weights.safetensors")

    with FORMAT.open(folder.files) as checkpoint:
        assert checkpoint.tensors["a"].file.endswith("weights.safetensors")


def test_a_file_cut_short_names_file_tensor_and_both_sizes(folder):
    path = folder.path / "model.safetensors"
    save_file({"x": torch.ones(100)}, path)
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-40])

    message = rf"model.safetensors: tensor 'x' needs 400 bytes up to byte {whole}.* ends at byte {whole - 40}, 40 too early"
    with pytest.raises(CheckpointError, match=message):
        FORMAT.open(folder.files)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            {"x": entry(shape=(3,))},
            r"shape \[3\] in float32 must have 12 bytes, its offsets hold 8",
        ),
        ({"x": entry(dtype="Q9")}, r"tensor 'x' has the type 'Q9'; known: BF16"),
        ({"x": entry(offsets=(8, 0))}, "two rising data_offsets"),
        ({"x": entry(shape=(-2,))}, "the header of tensor 'x'"),
        ({"x": entry(shape=(True, 2))}, "the header of tensor 'x'"),
        ({"x": {"dtype": "F32"}}, "needed are dtype, shape"),
        ({"x": 3}, "the header of tensor 'x' is 3"),
        ({"x": entry(), "y": entry(offsets=(4, 12))}, "'x' and 'y' share the bytes"),
        (["x"], "is a list, not an object"),
        (b"{", "is no JSON"),
    ],
)
def test_a_wrong_header_is_refused(folder, header, message):
    with pytest.raises(CheckpointError, match=message):
        open_raw(folder, header, b"\0" * 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\1\0", "has 2 bytes"), (b"\xff" * 64, "header ends at byte")],
)
def test_a_file_that_is_no_safetensors_is_refused(folder, content, message):
    (folder.path / "model.safetensors").write_bytes(content)

    with pytest.raises(CheckpointError, match=message):
        FORMAT.open(folder.files)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_broken_config_is_named(folder, text):
    save_file({"x": torch.ones(1)}, folder.path / "model.safetensors")
    (folder.path / "config.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(CheckpointError, match=r"config\.json"):
        FORMAT.open(folder.files)


def test_a_folder_without_weights_is_another_formats(folder):
    assert [reason.code for reason in FORMAT.check(folder.files, {})] == ["no_safetensors"]


def test_a_folder_without_a_config_is_refused(folder):
    save_file({"x": torch.ones(1)}, folder.path / "model.safetensors")
    (folder.path / "config.json").unlink()

    assert [reason.code for reason in FORMAT.check(folder.files, {})] == ["no_config"]


def test_opening_a_folder_without_weights_is_an_error(folder):
    with pytest.raises(CheckpointError, match="holds no"):
        FORMAT.open(folder.files)


def test_a_single_file_is_refused_with_its_folder_as_the_way_out(folder):
    path = folder.path / "model.safetensors"
    save_file({"x": torch.ones(1)}, path)

    [reason] = FORMAT.check(ModelFiles(reference="x", path=path), {})

    assert str(folder.path) in reason.remedy


def test_a_whole_folder_fits(folder):
    save_file({"x": torch.ones(1)}, folder.path / "model.safetensors")

    assert FORMAT.check(folder.files, {}) == ()
