"""PyTorch's own files pass the kit that strangers' weight formats pass."""

import json

import pytest
import torch

from jackfield.dtypes import parse_dtype
from jackfield.interfaces.model_source import ModelFiles
from jackfield_testing.conformance.samples import SampleCheckpoint, SampleTensor
from jackfield_testing.conformance.weight_format import WeightFormatKit

CONFIG = {"architectures": ["SampleForCausalLM"], "hidden_size": 6}


def write(folder, files):
    """A sample of the tensors of each file."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    tensors = {}
    for name, table in files.items():
        torch.save(table, folder / name)
        for key, tensor in table.items():
            word = str(tensor.dtype).removeprefix("torch.").replace("e4m3fn", "e4m3")
            data = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
            tensors[key] = SampleTensor(parse_dtype(word), tuple(tensor.shape), data, name)
    return SampleCheckpoint(path=folder, tensors=tensors, config=CONFIG)


def drawn(dtype, *shape):
    return (100 * torch.rand(shape)).to(dtype)


class TestPytorch(WeightFormatKit):
    name = "pytorch"

    @pytest.fixture
    def sample(self, tmp_path):
        first = {"model.embed_tokens.weight": drawn(torch.bfloat16, 11, 6)}
        second = {"model.norm.weight": drawn(torch.float32, 6), "count": drawn(torch.int64, 2)}
        names = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
        return write(tmp_path / "sample", dict(zip(names, (first, second), strict=True)))

    @pytest.fixture
    def forms(self, tmp_path):
        types = (torch.float16, torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn)
        shared = drawn(torch.float32, 4, 6)
        return {
            "one file": write(tmp_path / "one", {"weights.pt": {"a": drawn(torch.int32, 3, 2)}}),
            "every element type": write(
                tmp_path / "types", {"w.pth": {str(t): drawn(t, 3, 2) for t in types}}
            ),
            "views of one storage": write(
                tmp_path / "views",
                {"w.pt": {"rows": shared[1:3], "columns": shared[:, 2:5], "turned": shared.T}},
            ),
            "odd shapes": write(
                tmp_path / "odd",
                {"w.pt": {"number": torch.tensor(2.0), "nothing": torch.ones(0, 6)}},
            ),
        }


def test_a_pickle_that_calls_anything_else_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("ran",)

    write(tmp_path / "evil", {"w.pt": {"a": torch.ones(1)}})
    torch.save({"a": torch.ones(1), "b": Evil()}, tmp_path / "evil" / "w.pt")
    from jackfield.errors import CheckpointError
    from jackfield_pytorch_files.weight_format import PytorchFormat

    files = ModelFiles(reference="evil", path=tmp_path / "evil")
    with pytest.raises(CheckpointError, match=r"it names __builtin__\.print"):
        PytorchFormat().open(files)
