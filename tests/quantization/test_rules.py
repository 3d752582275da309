"""Rules of a config for single modules reach the weights: a file of GPTQModel with `dynamic`, put together of three."""

import dataclasses
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from jackfield.checkpoint.quantization import read_quantization
from jackfield.checkpoint.safetensors import SafetensorsFormat
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_source import ModelFiles
from jackfield_gptq.scheme import GptqScheme
from jackfield_llama.model import llama
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.loader import CheckpointWeights, WeightShard

FOUR, EIGHT = "gptqmodel/tiny-gptq-4bit-g128-sym", "gptqmodel/tiny-gptq-8bit-g128-sym"
RULES = {r"-:model\.layers\.1\.": {}, r"+:.*\.down_proj": {"bits": 8}}
SIZES = {"layers.0.feed_forward.down": (384, 256), "layers.0.mixer.q": (256, 256)}


@pytest.fixture
def mixed(checkpoints, tmp_path):
    """Four bits, down of layer 0 in eight, all of layer 1 plain."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoints / FOUR, folder)
    file, table = folder / "model.safetensors", folder / "config.json"
    sources = {name: load_file(checkpoints / name / file.name) for name in (EIGHT, "source/tiny")}
    tensors = {name: tensor for name, tensor in load_file(file).items() if "layers.1." not in name}
    down = {n: t for n, t in sources[EIGHT].items() if "layers.0.mlp.down_proj" in n}
    plain = {n: t for n, t in sources["source/tiny"].items() if "layers.1." in n}
    save_file({**tensors, **down, **plain}, file)
    config = json.loads(table.read_text())
    config["quantization_config"]["dynamic"] = RULES
    table.write_text(json.dumps(config))
    return folder


def opened(folder):
    with SafetensorsFormat().open(ModelFiles(reference="m", path=folder)) as checkpoint:
        plain = llama(ConfigReader(checkpoint.config))
        quantization = read_quantization(checkpoint.config, plain, checkpoint.tensors)
        spec = dataclasses.replace(plain, quantization=quantization)
        weights = CheckpointWeights(checkpoint, spec)
        shard = WeightShard(weights, 0, 1, torch.device("cpu"), torch.float32)
        parts = [
            LinearPart(name=n, in_size=i, out_size=o, settings=quantization.linears[n])
            for n, (i, o) in SIZES.items()
        ]
        return quantization, [GptqScheme().load(part, shard) for part in parts]


def test_each_module_is_read_by_its_own_rule(mixed, checkpoints):
    quantization, (down, q) = opened(mixed)
    _, (down_8, _) = opened(checkpoints / EIGHT)
    _, (_, q_4) = opened(checkpoints / FOUR)

    assert (down.bits, q.bits) == (8, 4)
    assert torch.equal(down.dequantise(), down_8.dequantise())
    assert torch.equal(q.dequantise(), q_4.dequantise())
    assert not any(name.startswith("layers.1.") for name in quantization.linears)
