"""What a scheme could not read is told before anything is loaded, from the headers of the checkpoint, by `explain` too."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from jackfield.cli.main import main

Q = "model.layers.1.self_attn.q_proj"
MISSING = {  # a tensor of q in layer 1, and what is told without it
    "gptqmodel/tiny-gptq-4bit-g128-asym": "scales",
    "gptqmodel/tiny-awq-4bit-g128-gemm": "scales",
    "gptqmodel/tiny-fp8-row": "weight_scale_inv",
    "llmcompressor/tiny-rtn-w4a16-g128-sym": "weight_scale",
    "llmcompressor/tiny-nvfp4a16": "weight_global_scale",
    "bitsandbytes/tiny-nf4": "weight.absmax",
    "bitsandbytes/tiny-int8": "SCB",
    "torchao/tiny-int8wo": "_weight_scale",
}


@pytest.fixture
def explain(checkpoints, tmp_path, capsys):
    """The answer of `explain` in one line, for a copy of a checkpoint whose config and tensors were changed."""

    def run(name, change_tensors=None, **config):
        folder = tmp_path / "model"
        shutil.copytree(checkpoints / name, folder, ignore=shutil.ignore_patterns("expected.*"))
        file, table = folder / "model.safetensors", folder / "config.json"
        if change_tensors is not None:
            tensors = load_file(file)
            change_tensors(tensors)
            save_file(tensors, file)
        values = json.loads(table.read_text())
        values["quantization_config"] |= config
        table.write_text(json.dumps(values))
        for beside in folder.glob("quant*_config.json"):
            beside.unlink()
        status = main(["explain", str(folder)])
        return status, " ".join(capsys.readouterr().out.split())

    return run


@pytest.mark.parametrize(("name", "tensor"), MISSING.items(), ids=MISSING)
def test_a_missing_tensor_is_told_with_its_linear(explain, name, tensor):
    status, text = explain(name, lambda tensors: tensors.pop(f"{Q}.{tensor}"))

    assert status != 0
    assert "layers.1.mixer.q is stored without" in text
    assert tensor in text


def test_packed_weights_of_another_size_are_told(explain):
    def cut(tensors):
        tensors[f"{Q}.qweight"] = tensors[f"{Q}.qweight"][:-3].clone()

    status, text = explain("gptqmodel/tiny-gptq-4bit-g128-sym", cut)

    assert status != 0
    assert "qweight of layers.1.mixer.q has 29 words for 256 inputs" in text


def test_groups_that_do_not_fit_the_inputs_are_told(explain):
    def cut(tensors):
        for name in ("scales", "qzeros"):
            tensors[f"{Q}.{name}"] = tensors[f"{Q}.{name}"].repeat(3, 1)[:3].clone()
        tensors.pop(f"{Q}.g_idx")

    status, text = explain("auto-round/tiny-rtn-w4g128-sym-autogptq", cut)

    assert status != 0
    assert (
        "layers.1.mixer.q has scales for 3 groups; its 256 inputs cannot be cut into so many"
        in text
    )


@pytest.mark.parametrize(
    ("name", "bits"),
    [("gptqmodel/tiny-gptq-4bit-g128-sym", 11), ("gptqmodel/tiny-awq-4bit-g128-gemm", 3)],
)
def test_bits_that_no_packing_has_are_told(explain, name, bits):
    status, text = explain(name, bits=bits)

    assert status != 0
    assert f"bits, not {bits}" in text


def test_what_is_whole_is_accepted(explain):
    status, text = explain("gptqmodel/tiny-gptq-4bit-g128-sym-desc_act")

    assert status == 0
    assert "gptq" in text
