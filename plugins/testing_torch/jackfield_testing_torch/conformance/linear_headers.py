"""The part of the kit of quantization schemes about headers: what cannot be read is refused before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from jackfield.dtypes import parse_dtype
from jackfield.errors import JackfieldError
from jackfield.stored_linear import StoredLinear, StoredTensor
from jackfield_testing_torch.conformance.linear_kit import LinearKit
from jackfield_testing_torch.conformance.linear_parts import StoredParts
from jackfield_testing_torch.conformance.tensor_weights import TensorWeights
from jackfield_torch.interfaces.quantization import QuantizationNeed, QuantizationScheme


class LinearHeaders(LinearKit):
    """`check` gets names, types and shapes of stored tensors in `need.stored`. Weights that are plain have no headers."""

    def test_headers_of_its_own_checkpoint_are_accepted(self, dtype: str) -> None:
        """They are those of tensors that `quantise` returns."""
        stored = self._stored(dtype)
        assert not self.refusal(self._need(stored, stored.stored["linear"]))

    def test_a_tensor_that_is_missing_is_refused_by_its_header(
        self, scheme: QuantizationScheme, dtype: str
    ) -> None:
        """Of each tensor without which `create` fails."""
        stored = self._stored(dtype)
        for name, kept in _without_each(stored.stored["linear"]):
            try:
                stored.create(scheme, weights=TensorWeights({"linear": kept}))
            except JackfieldError:
                refusal = self.refusal(self._need(stored, kept))
                assert refusal, f"without {name} create fails, but check does not refuse"

    @pytest.mark.parametrize("in_size", ["half", "twice"])
    def test_headers_of_a_linear_of_another_size_are_refused(
        self, dtype: str, in_size: str
    ) -> None:
        """The config is that of another checkpoint."""
        stored = self._stored(dtype)
        need = self._need(stored, stored.stored["linear"])
        size = stored.parts[0].in_size
        other = replace(need.stored[0], in_size=size // 2 if in_size == "half" else 2 * size)
        assert self.refusal(replace(need, stored=(other,)))

    def _stored(self, dtype: str) -> StoredParts:
        if self.method == "none":
            pytest.skip("rounds weights that are stored plainly")
        return self.stored([self.part()], dtype)

    def _need(self, stored: StoredParts, tensors: Mapping[str, Tensor]) -> QuantizationNeed:
        name = str(stored.dtype).removeprefix("torch.")
        (part,) = stored.parts
        linear = StoredLinear(
            name=part.name,
            in_size=part.in_size,
            out_size=part.out_size,
            tensors={name: _header(tensor) for name, tensor in tensors.items()},
        )
        return replace(self.need(name), stored=(linear,))


def _without_each(tensors: Mapping[str, Tensor]) -> list[tuple[str, dict[str, Tensor]]]:
    """Each name, with the tensors of the other names."""
    return [
        (name, {other: tensor for other, tensor in tensors.items() if other != name})
        for name in tensors
    ]


def _header(tensor: Tensor) -> StoredTensor:
    name = "float8_e4m3" if tensor.dtype == torch.float8_e4m3fn else str(tensor.dtype)
    return StoredTensor(parse_dtype(name), tuple(tensor.shape))
