"""Every checkpoint that another tool made gives the logits of its weights, dequantised plainly, and those of the tool."""

import dataclasses
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from plain_readers import plain_weights
from safetensors.torch import load_file

from jackfield.checkpoint.quantization import read_quantization
from jackfield.checkpoint.safetensors import SafetensorsFormat
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_source import ModelFiles
from jackfield_llama.model import llama
from jackfield_pytorch_files.weight_format import PytorchFormat
from jackfield_testing_torch.dense_attention import DenseAttention
from jackfield_torch.decoder import assemble_decoder
from jackfield_torch.dtypes import torch_dtype
from jackfield_torch.interfaces.quantization import QuantizationNeed
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import CheckpointWeights, ModelWeights
from jackfield_torch.tensor_parallel import SingleRank
from jackfield_torch.unquantized import UnquantizedScheme

CHECKPOINTS = Path(__file__).parents[3] / "shared" / "checkpoints"
NAMES = sorted(
    str(path.parent.relative_to(CHECKPOINTS)) for path in CHECKPOINTS.glob("*/*/config.json")
)
NAMES = [name for name in NAMES if not name.startswith("source/")]
NOISE = 0.02  # of tools that compute in bfloat16, relative
# where the tool rounds activations too, which we do not
NOISE_OF = {
    "bitsandbytes/tiny-int8": 0.05,
    "llmcompressor/tiny-fp8-block": 0.12,
    "llmcompressor/tiny-fp8-dynamic": 0.12,
    "llmcompressor/tiny-fp8-static": 0.12,
    "llmcompressor/tiny-fp8-static-channel": 0.12,
    "llmcompressor/tiny-mxfp4": 0.5,
    "llmcompressor/tiny-w4a8-int": 0.08,
    "llmcompressor/tiny-w4afp8": 0.12,
    "llmcompressor/tiny-w8a8-int8-dynamic": 0.08,
    "torchao/tiny-int8da": 0.08,
}
TOKENS = torch.arange(3, 40)


@pytest.fixture(scope="module", params=NAMES or [None])
def name(request):
    if request.param is None:
        pytest.skip(f"there are no checkpoints of other tools in {CHECKPOINTS}")
    return request.param


@pytest.fixture(scope="module")
def checkpoint(name):
    path = CHECKPOINTS / name
    weight_format = PytorchFormat() if list(path.glob("*.pt")) else SafetensorsFormat()
    with weight_format.open(ModelFiles(reference=name, path=path)) as opened:
        yield opened


@pytest.fixture(scope="module")
def spec(checkpoint):
    plain = llama(ConfigReader(checkpoint.config))
    quantization = read_quantization(checkpoint.config, plain, checkpoint.tensors)
    return dataclasses.replace(plain, quantization=quantization)


@pytest.fixture(scope="module")
def decoder(checkpoint, spec):
    return build(spec, CheckpointWeights(checkpoint, spec))


def build(spec, weights):
    def scheme_of(part):
        """The only installed one that reads it, as a selection finds it."""
        settings = spec.quantization and spec.quantization.linears.get(part.name)
        if settings is None:
            return UnquantizedScheme()
        return the_scheme(spec.quantization, part.name)

    context = LoadContext(
        spec=spec,
        weights=weights,
        device=torch.device("cpu"),
        dtype=torch.float32,
        schemes=scheme_of,
        ranks=SingleRank(),
        max_length=spec.max_length,
    )
    with torch.inference_mode():
        return assemble_decoder(context)


@cache
def cards():
    return [point.load()() for point in entry_points(group="jackfield_torch.quantization.v1")]


def the_scheme(quantization, module):
    method = quantization.method
    need = QuantizationNeed(
        device="cpu",
        dtype="float32",
        method=method,
        settings=quantization.linears[module],
        stored=(quantization.stored[module],),
    )
    fitting = [
        card
        for card in cards()
        if f"quantization.method={method}" in card.features and not card.check(need, {})
    ]
    assert len(fitting) == 1, f"{method} is read by {fitting}"
    return fitting[0]


@torch.inference_mode()
def logits(decoder, spec, token_ids):
    hidden = decoder.forward(token_ids, torch.arange(len(token_ids)), DenseAttention(spec))
    return decoder.logits(hidden)


class PlainWeights(ModelWeights):
    def __init__(self, tensors, spec):
        self.tensors, self.spec = tensors, spec

    def has(self, module, parameter):
        return f"{self.spec.source(module).prefix}.{parameter}" in self.tensors

    def read(self, module, parameter, shape=None):
        return self.tensors[f"{self.spec.source(module).prefix}.{parameter}"].clone()


@pytest.mark.cpu_model
def test_logits_are_those_of_weights_that_were_dequantised_plainly(checkpoint, spec, decoder, name):
    if name == "autoawq/tiny-awq-4bit-g128-marlin":
        pytest.skip("tests/quantization/awq shows its order against the source of its weights")
    table = checkpoint.config["quantization_config"]
    stored = {
        name: torch.frombuffer(
            bytearray(checkpoint.read(name)), dtype=torch_dtype(info.dtype)
        ).reshape(info.shape)
        for name, info in checkpoint.tensors.items()
    }
    plain_spec = dataclasses.replace(spec, quantization=None)
    plain = build(plain_spec, PlainWeights(plain_weights(stored, table), plain_spec))
    expected = logits(plain, plain_spec, TOKENS)

    found = logits(decoder, spec, TOKENS)

    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.cpu_model
def test_logits_are_those_of_the_tool_within_its_noise(spec, decoder, name):
    path = CHECKPOINTS / name / "expected.safetensors"
    if not path.exists():
        pytest.skip("the tool cannot load it on a processor")
    expected = load_file(path)
    ids_RT = expected["input_ids"].reshape(-1, expected["input_ids"].shape[-1])

    found = torch.stack([logits(decoder, spec, ids_T) for ids_T in ids_RT])

    wanted = expected["logits"].float().reshape(found.shape)
    assert (found - wanted).norm() <= NOISE_OF.get(name, NOISE) * wanted.norm()
