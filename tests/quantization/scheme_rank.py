"""One rank of tiny quantized models, as a program: scheme_rank.py RANK NUM_RANKS RENDEZVOUS OUTPUT writes all logits."""

import dataclasses
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from runpy import run_path

import torch

from jackfield.checkpoint.quantization import read_quantization
from jackfield.checkpoint.safetensors import SafetensorsFormat
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_source import ModelFiles
from jackfield_llama.model import llama
from jackfield_pytorch_files.weight_format import PytorchFormat
from jackfield_testing_torch.dense_attention import DenseAttention
from jackfield_torch.decoder import assemble_decoder
from jackfield_torch.interfaces.quantization import QuantizationNeed
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import CheckpointWeights
from jackfield_torch.tensor_parallel import RankGroup, join_ranks
from jackfield_torch.unquantized import UnquantizedScheme

CHECKPOINTS = Path(__file__).parents[3] / "shared" / "checkpoints"
_PLAIN = "source/tiny"
# a checkpoint each of those whose cuts differ, and the schemes that round plain weights: NAME@SCHEME
CASES = (
    "gptqmodel/tiny-gptq-4bit-g128-sym-desc_act",
    "gptqmodel/tiny-gptq-3bit-g128-sym-planar",
    "gptqmodel/tiny-gptq-4bit-g-1-sym",
    "autoawq/tiny-awq-4bit-g128-gemm",
    "auto-round/tiny-rtn-w4g32-asym",
    "llmcompressor/tiny-gptq-w4a16-g128-asym",
    "llmcompressor/tiny-w8a8-int8-dynamic",
    "llmcompressor/tiny-fp8-block",
    "llmcompressor/tiny-nvfp4a16",
    "llmcompressor/tiny-mxfp4",
    "gptqmodel/tiny-fp8-tensor",
    "bitsandbytes/tiny-nf4",
    "bitsandbytes/tiny-int8",
    "torchao/tiny-int4",
    "squeezellm/tiny-w3-dense",
    "squeezellm/tiny-w4-sparse",
    f"{_PLAIN}@int4",
    f"{_PLAIN}@int8",
    f"{_PLAIN}@fp8",
    # of these no tool's file is there: the kit of the scheme stores the plain weights
    f"{_PLAIN}@gguf_blocks",
    f"{_PLAIN}@nvfp4",
    f"{_PLAIN}@mxfp4",
)
KITS = {"gguf_blocks": "TestGgufBlocks", "nvfp4": "TestNvfp4", "mxfp4": "TestMxfp4"}
TOKENS = torch.arange(3, 40)


class KitWeights(CheckpointWeights):
    """The linears of layers as a scheme stores them."""

    def __init__(self, checkpoint, spec, scheme):
        super().__init__(checkpoint, spec)
        kit = run_path(str(Path(__file__).parent / scheme / "test_conformance.py"))[KITS[scheme]]()
        self.packed = {
            module: kit.quantise(self.read(module, "weight"))
            for module in spec.linears
            if module != "head"
        }

    def has(self, module, parameter):
        found = self.packed.get(module)
        return super().has(module, parameter) if found is None else parameter in found

    def read_stored(self, module, parameter):
        return self.packed[module][parameter].clone()


@cache
def cards():
    return {point.name: point.load()() for point in entry_points(group="jackfield_torch.quantization.v1")}  # fmt: skip


def scheme_of(part, spec, named):
    settings = spec.quantization and spec.quantization.linears.get(part.name)
    if named and part.name != "head":
        return cards()[named]
    if settings is None:
        return UnquantizedScheme()
    method = spec.quantization.method
    need = QuantizationNeed(device="cpu", dtype="float32", method=method, settings=settings)
    return next(
        card
        for card in cards().values()
        if f"quantization.method={method}" in card.features and not card.check(need, {})
    )


@torch.inference_mode()
def run(case: str, group: RankGroup) -> torch.Tensor:
    """The logits of one model in float32, on every rank."""
    name, _, scheme = case.partition("@")
    path = CHECKPOINTS / name
    weight_format = PytorchFormat() if list(path.glob("*.pt")) else SafetensorsFormat()
    with weight_format.open(ModelFiles(reference=name, path=path)) as opened:
        plain = llama(ConfigReader(opened.config))
        quantization = read_quantization(opened.config, plain, opened.tensors)
        spec = dataclasses.replace(plain, quantization=quantization)
        weights = (
            KitWeights(opened, spec, scheme) if scheme in KITS else CheckpointWeights(opened, spec)
        )
        decoder = assemble_decoder(
            LoadContext(
                spec=spec,
                weights=weights,
                device=torch.device("cpu"),
                dtype=torch.float32,
                schemes=lambda part: scheme_of(part, spec, scheme),
                ranks=group,
                max_length=spec.max_length,
            )
        )
        hidden = decoder.forward(TOKENS, torch.arange(len(TOKENS)), DenseAttention(spec))
        return decoder.logits(hidden)


if __name__ == "__main__":
    rank, num_ranks, rendezvous, output = sys.argv[1:]
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parent))  # the kits import from here
    group = join_ranks(int(rank), int(num_ranks), rendezvous, "gloo", timeout_s=60)
    torch.save({case: run(case, group) for case in CASES}, output)
    group.close()
