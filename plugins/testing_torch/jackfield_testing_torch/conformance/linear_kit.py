"""What all parts of the kit of quantization schemes stand on: stored linears of a scheme, and how they are judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from jackfield.errors import JackfieldError
from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.devices import choose_device
from jackfield_testing_torch.conformance.linear_parts import Rescale, StoredParts, same_weights
from jackfield_testing_torch.conformance.tolerances import TOLERANCES, check_linear
from jackfield_torch.interfaces.quantization import (
    KIND,
    LinearPart,
    QuantizationNeed,
    QuantizationScheme,
)

NO_METHOD = "a_method_of_nobody"
SIZE = 512  # the kit's `size` unless said otherwise; sizes of these modules grow with it
FUSED: Mapping[str, tuple[LinearPart, ...]] = {
    "qkv": tuple(
        LinearPart(name=name, in_size=SIZE, out_size=size)
        for name, size in (("q", 2 * SIZE), ("k", SIZE), ("v", SIZE))
    ),
    "gate and up": tuple(
        LinearPart(name=name, in_size=SIZE, out_size=SIZE) for name in ("gate", "up")
    ),
    "all with bias": tuple(
        LinearPart(name=name, in_size=SIZE, out_size=SIZE, bias=True) for name in ("q", "k", "v")
    ),
    "some with bias": tuple(
        LinearPart(name=name, in_size=SIZE, out_size=SIZE, bias=name != "k") for name in "qkv"
    ),
    "some in copies": tuple(
        LinearPart(name=name, in_size=SIZE, out_size=SIZE, copies=copies)
        for name, copies in (("q", 1), ("k", 2), ("v", 2))
    ),
}


class LinearKit(CardKit):
    """See QuantizationKit."""

    kind = KIND
    method: ClassVar[str] = "none"  # `quantization_config.quant_method` of such checkpoints
    settings: ClassVar[Mapping[str, Any]] = {}  # what stands beside it there: bits, group_size, ...
    device: ClassVar[str] = ""  # torch's word; "": the first here that the scheme serves
    max_loss: ClassVar[float] = 0.25  # of `quantise`: root mean square, relative to the weights
    # of the format that inputs are rounded to: 2**-3 in float8_e4m3, 2**-5 in int8 with a scale for each row
    input_unit: ClassVar[float] = 0.0
    # inputs are rounded with a scale of the checkpoint, which fits normal numbers alone
    has_input_scale: ClassVar[bool] = False
    size: ClassVar[int] = SIZE  # inputs and outputs of which 1, 2 and 4 ranks can hold their shares

    @pytest.fixture(autouse=True)
    def _infer(self) -> Iterator[None]:
        """As in an engine, where nothing asks for gradients."""
        with torch.inference_mode():
            yield

    def quantise(self, weight_OI: Tensor) -> Mapping[str, Tensor]:
        """The parameters that a checkpoint stores of a weight, on the host, by the names that the scheme reads.

        Raises a JackfieldError if the format has no such shape.
        """
        return {"weight": weight_OI}

    def dequantise(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """weight_OI of what `quantise` returned, as exactly as a float64 can say it."""
        return tensors["weight"]

    @pytest.fixture
    def scheme(self) -> QuantizationScheme:
        """The card under test."""
        scheme: QuantizationScheme = self.load()
        return scheme

    @pytest.fixture
    def needs(self) -> list[QuantizationNeed]:
        """Of each dtype, of plain weights, and of a method that nobody reads."""
        others = [self.need("float32", method=method) for method in ("none", NO_METHOD)]
        return [*map(self.need, TOLERANCES), *others]

    @pytest.fixture
    def dtype(self) -> str:
        """The first dtype of activations that the scheme claims."""
        for dtype in TOLERANCES:
            if not self.refusal(self.need(dtype)):
                return dtype
        pytest.fail(f"claims nothing: {self.refusal(self.need('float32'))}")

    @classmethod
    @cache
    def used_device(cls) -> str:
        """The device that the kit runs on."""
        kit = cls()
        return choose_device(
            cls.device,
            lambda device: not all(kit.refusal(kit.need(dtype, device)) for dtype in TOLERANCES),
        )

    def part(
        self,
        in_size: int = SIZE,
        out_size: int = SIZE,
        *,
        bias: bool = False,
        split: str = "column",
        copies: int = 1,
    ) -> LinearPart:
        """A linear of a size that the scheme serves: `in_size` and `out_size` are those of a kit of 512."""
        part = LinearPart(
            name="linear",
            in_size=in_size,
            out_size=out_size,
            bias=bias,
            split=split,
            copies=copies,
        )
        return self.grown(part)

    def fusable(
        self, scheme: QuantizationScheme, parts: Sequence[LinearPart], num_ranks: int
    ) -> list[LinearPart]:
        """The parts as this scheme stores them; skips the test where it does not fuse them."""
        mine = [
            replace(self.grown(part), copies=min(part.copies, num_ranks), settings=self.settings)
            for part in parts
        ]
        if not scheme.can_fuse(mine):
            pytest.skip("can_fuse says no")
        return mine

    def grown(self, part: LinearPart) -> LinearPart:
        """A part of a kit of 512, as one of this kit."""
        in_size, out_size = (n * self.size // SIZE for n in (part.in_size, part.out_size))
        return replace(part, in_size=in_size, out_size=out_size)

    def stored(
        self,
        parts: Sequence[LinearPart],
        dtype: str,
        *,
        rescale: Rescale = same_weights,
        seed: int = 0,
    ) -> StoredParts:
        """A checkpoint of such parts, with normal weights unless `rescale` makes others of them."""
        return StoredParts(
            [replace(part, settings=self.settings) for part in parts],
            dtype=dtype,
            device=self.used_device(),
            quantise=self.quantise,
            dequantise=self.dequantise,
            rescale=rescale,
            seed=seed,
        )

    def check(self, found: Tensor, stored: StoredParts, x: Tensor, *ranks: int) -> None:
        """Raises AssertionError if an output is not what the stored weights say."""
        assert found.dtype == x.dtype, f"outputs are {found.dtype}, not {x.dtype}"
        assert found.device == x.device, f"outputs are on {found.device}, not {x.device}"
        name = str(x.dtype).removeprefix("torch.")
        check_linear(found, stored.exact(x, *ranks), name, self.input_unit)

    def need(self, dtype: str, device: str = "", method: str = "") -> QuantizationNeed:
        return QuantizationNeed(
            device=device or self.used_device(),
            dtype=dtype,
            method=method or self.method,
            settings={} if method else self.settings,
        )


def sizes(size: object) -> str:
    """For the names of tests."""
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def odd_part(in_size: int, out_size: int, split: str, *, bias: bool = False) -> LinearPart:
    """Of sizes that do not grow with the kit's."""
    return LinearPart(name="linear", in_size=in_size, out_size=out_size, bias=bias, split=split)


def skip_refused(error: JackfieldError) -> None:
    """Refused with words: that is allowed."""
    assert str(error), f"{type(error).__name__} says nothing"
    pytest.skip(f"refuses: {error}")
