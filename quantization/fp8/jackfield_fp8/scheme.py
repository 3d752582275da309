"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jackfield.config.options import read_options
from jackfield.decision import Reason
from jackfield.stored_linear import StoredLinear
from jackfield_compact.layout import check_scale, check_type
from jackfield_compact.scheme import CompactScheme
from jackfield_fp8.options import Fp8Options
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard

SCALES = ("weight_scale_inv", "weight_scale")
BLOCK = (128, 128)  # of DeepSeek, if the config names none
_TYPES = ("float8_e4m3", "float8_e5m2")
_ALGORITHMS = ("FP8", "FP8_PER_CHANNEL_PER_TOKEN", "FP8_PB_WO")  # names in ModelOpt


class Fp8Scheme(CompactScheme):
    """Weights of eight bits in floating point. Plain weights are rounded while they are read.

    Inputs are not rounded, unless an option asks for it on a card: the product with the stored weights is exact.
    """

    options = Fp8Options
    methods = ("fp8", "fbgemm_fp8", "modelopt", "none")
    features = frozenset(
        {
            "quantization.method=fp8",
            "quantization.method=fbgemm_fp8",
            "quantization.method=modelopt",
            "quantization.settings",
        }
    )

    def check_settings(self, settings: Mapping[str, Any]) -> Iterator[Reason]:
        """Refuse ModelOpt's other formats."""
        algorithm = settings.get("quant_algo", _ALGORITHMS[0])
        if algorithm not in _ALGORITHMS:
            text = f"reads {', '.join(_ALGORITHMS)} of ModelOpt, this is {algorithm}"
            yield Reason("format", text, "install the scheme of that format, e.g. jackfield-nvfp4")

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        weight = linear.expect("weight", linear.out_size, linear.in_size)
        check_type(linear, "weight", _TYPES)
        scale = linear.tensor(*SCALES)
        shape = weight.shape[0], weight.shape[1]
        check_scale(scale.shape, shape, settings.get("weight_block_size") or BLOCK, linear.name)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read the float8 weight and its scales."""
        from jackfield_fp8.reader import read_fp8

        return read_fp8(part, shard)

    def load(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read float8 weights, or round plain ones to float8."""
        from jackfield_fp8.reader import has_scale, round_to_fp8

        if part.settings or has_scale(part, shard):
            matrix = super().load(part, shard)
        else:
            matrix = round_to_fp8(shard.read(part, "weight").to(shard.device))
        options = read_options(Fp8Options, "fp8", shard.config)
        return replace(matrix, rounds_inputs=options.rounds_inputs)
