"""Loads checkpoints of `jackfield quantize` with the tools whose formats they have, and compares the log probabilities.

    python tools/exchange.py [--rows WORD] [--keep FOLDER] [--output FILE]

A small Llama of random weights is quantized by every scheme and format. Transformers loads each with its own loaders,
GPTQModel those of its methods, and the libraries compressed-tensors and AutoAWQ make plain weights of those in their
formats. Log probabilities are compared with those of our engine, in float32 if the tool can compute in it. The table names
tools that are not installed. Beside jackfield it needs transformers, and for single rows compressed-tensors, bitsandbytes,
gptqmodel with optimum, and autoawq.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")  # by default it wants more cores than some have

import torch
from torch import Tensor

GROUPS = ("--group-size", "64")
IN_CT = ("--format", "compressed-tensors")
# Arguments of `jackfield quantize`, by the name of a row.
WORDS: dict[str, tuple[str, ...]] = {
    "gptq, 4 bits": ("gptq", *GROUPS),
    "gptq, 4 bits, zero points": ("gptq", *GROUPS, "--asymmetric"),
    "gptq, 3 bits": ("gptq", *GROUPS, "--bits", "3"),
    "gptq, 2 bits, zero points": ("gptq", *GROUPS, "--bits", "2", "--asymmetric"),
    "gptq, 8 bits, one group": ("gptq", "--group-size", "-1", "--bits", "8"),
    "rtn, 4 bits": ("rtn", *GROUPS),
    "gptq as compressed-tensors": ("gptq", *GROUPS, *IN_CT),
    "gptq as compressed-tensors, zero points": ("gptq", *GROUPS, *IN_CT, "--asymmetric"),
    "awq": ("awq", *GROUPS),
    "awq as compressed-tensors": ("awq", *GROUPS, *IN_CT),
    "int8": ("int8",),
    "fp8": ("fp8",),
    "fp8 in blocks": ("fp8", "--format", "fp8"),
    "nf4": ("nf4",),
    "mxfp4": ("mxfp4",),
    "nvfp4": ("nvfp4",),
}
CLOSE = 0.02  # largest relative difference, for tools that compute in half precision
ROUNDING = {"int8": 0.1, "fp8": 0.2}  # the same, if the tool also rounds inputs
BACKENDS = {"gptq": "torch", "awq": "torch_awq"}  # the other backends take minutes to compile
PROMPT = [*range(30, 94)]
Load = Callable[[Path], Tensor]


def main() -> int:
    """Print the table. Returns 1 if a tool computes something else than our engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--rows", default="", metavar="WORD", help="only those with it in their name"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the checkpoints there")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lines = []
        for line in compare(arguments.keep or Path(scratch), arguments.rows):
            lines.append(line)
            print(line, flush=True)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")
    return int(any("WRONG" in line for line in lines))


def compare(folder: Path, word: str = "") -> Iterator[str]:
    """Yield the lines of the table."""
    source = make_model(folder / "source")
    yield "| checkpoint | Transformers | its library's own weights | GPTQModel |"
    yield "|---|---|---|---|"
    for name, words in WORDS.items():
        if word not in name:
            continue
        path = folder / name.replace(" ", "-").replace(",", "")
        quantize(source, path, words)
        expected_TV = ours(path)
        limit = ROUNDING.get(words[0], CLOSE)
        method = quantization_config(path)["quant_method"]
        loads = (
            by_transformers,
            LIBRARIES.get(method),
            by_gptqmodel if method in ("gptq", "awq") else None,
        )
        cells = [outcome(load, path, expected_TV, limit) for load in loads]
        yield f"| {name} | {' | '.join(cells)} |"


def make_model(path: Path) -> Path:
    """Save a Llama of two layers with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from jackfield_testing.tokenizer import VOCAB_SIZE, write_byte_tokenizer

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE, hidden_size=256, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data.normal_(0.0, 0.08)
    model.to(torch.bfloat16).save_pretrained(path)
    write_byte_tokenizer(path)
    return path


def quantize(source: Path, target: Path, words: tuple[str, ...]) -> None:
    """Run the command. Raises SystemExit if it fails."""
    from jackfield.cli.main import main as jackfield

    rows = ("--samples", "8", "--sample-length", "64")
    if status := jackfield(["quantize", str(source), "-o", str(target), "--scheme", *words, *rows]):
        raise SystemExit(status)


def ours(path: Path) -> Tensor:
    """Log probabilities [T - 1, V] of the successor of each prompt token but the last, from our engine in float32."""
    from jackfield import LLM, SamplingParams

    with LLM(str(path), dtype="float32", settings={"model.max_length": 128}) as llm:
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=llm.vocab_size)
        (output,) = llm.generate([PROMPT], params)
        size = llm.vocab_size
    entries = [entry for entry in output.prompt_logprobs or () if entry is not None]
    found = torch.empty(len(entries), size)
    for row, entry in enumerate(entries):
        found[row, list(entry.top_ids)] = torch.tensor(entry.top_logprobs)
    return found


@torch.inference_mode()
def log_probabilities(model: Any) -> Tensor:
    """The same, from a model with the interface of Transformers' models."""
    logits = model(torch.tensor([PROMPT])).logits[0, :-1]
    found: Tensor = logits.float().log_softmax(-1)
    return found


def by_transformers(path: Path) -> Tensor:
    """The same, from Transformers with its own loader for the method that the config names."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(path)
    table = config.quantization_config
    method = table["quant_method"]
    if method in BACKENDS:
        table["backend"] = BACKENDS[method]
    dtype = torch.float32
    if table.get("format", "").startswith(("mxfp4", "nvfp4")):
        dtype = torch.bfloat16  # as its weights become
    model: Any = AutoModelForCausalLM.from_pretrained(path, config=config, dtype=dtype)
    model.eval()
    if method == "fp8":
        model = model.float()  # without a card blocks of float8 become bfloat16
    return log_probabilities(model)


def quantization_config(path: Path) -> dict[str, Any]:
    """The `quantization_config` of config.json."""
    found: dict[str, Any] = json.loads((path / "config.json").read_text())["quantization_config"]
    return found


def by_compressed_tensors(path: Path) -> Tensor:
    """The same, from a plain model with the weights that the library compressed-tensors unpacks."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    table = quantization_config(path)
    scheme = QuantizationScheme(**table["config_groups"]["group_0"])
    compressor = BaseCompressor.get_value_from_registry(table["format"])

    def weight(found: dict[str, Tensor]) -> Tensor:
        plain: Tensor = compressor.decompress(found, scheme)["weight"]
        return plain

    return by_plain_weights(path, "weight_scale", weight)


def by_autoawq(path: Path) -> Tensor:
    """The same, from a plain model with the weights that AutoAWQ unpacks."""
    from awq.utils.packing_utils import dequantize_gemm

    table = quantization_config(path)

    def weight(found: dict[str, Tensor]) -> Tensor:
        packed = (found[name] for name in ("qweight", "qzeros", "scales"))
        plain: Tensor = dequantize_gemm(*packed, table["bits"], table["group_size"]).T
        return plain

    return by_plain_weights(path, "qweight", weight)


def by_plain_weights(
    path: Path, parameter: str, weight: Callable[[dict[str, Tensor]], Tensor]
) -> Tensor:
    """A plain model. `weight` makes the weight of each module that has the given parameter from the module's tensors."""
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaForCausalLM

    config = json.loads((path / "config.json").read_text())
    del config["quantization_config"]
    modules: dict[str, dict[str, Tensor]] = {}
    for file in path.glob("*.safetensors"):
        for name, tensor in load_file(file).items():
            module, _, kind = name.rpartition(".")
            modules.setdefault(module, {})[kind] = tensor
    plain = {
        f"{module}.weight": (weight(found) if parameter in found else found["weight"]).float()
        for module, found in modules.items()
    }
    model: Any = LlamaForCausalLM(LlamaConfig(**config))
    model.float().eval()
    model.load_state_dict(plain, strict=not config["tie_word_embeddings"])
    return log_probabilities(model)


def by_gptqmodel(path: Path) -> Tensor:
    """The same, from GPTQModel on the host, with its backend that needs no compiler."""
    from gptqmodel import BACKEND, GPTQModel

    return log_probabilities(GPTQModel.load(str(path), device="cpu", backend=BACKEND.TORCH).model)


LIBRARIES: dict[str, Load] = {
    "compressed-tensors": by_compressed_tensors,
    "awq": by_autoawq,
}


def outcome(load: Load | None, path: Path, expected_TV: Tensor, limit: float) -> str:
    """The relative difference, or the reason why there is none."""
    if load is None:
        return "-"
    try:
        found_TV = load(path)
    except Exception as error:  # a tool may raise any error
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    spread = (expected_TV - expected_TV.mean(-1, keepdim=True)).norm()
    difference = float((found_TV - expected_TV).norm() / spread)
    return f"{difference:.4f}" + (" WRONG" if not difference <= limit else "")


if __name__ == "__main__":
    sys.exit(main())
