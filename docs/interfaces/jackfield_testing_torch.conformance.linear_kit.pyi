# Part of: jackfield_testing_torch 0.1
from collections.abc import Mapping
from collections.abc import Sequence
from functools import cache
from typing import Any
from typing import ClassVar
import pytest
from torch import Tensor
from jackfield.errors import JackfieldError
from jackfield_testing.conformance.card import CardKit
from jackfield_testing_torch.conformance.linear_parts import Rescale
from jackfield_testing_torch.conformance.linear_parts import StoredParts
from jackfield_testing_torch.conformance.linear_parts import same_weights
from jackfield_torch.interfaces.quantization import KIND
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.interfaces.quantization import QuantizationNeed
from jackfield_torch.interfaces.quantization import QuantizationScheme
NO_METHOD = 'a_method_of_nobody'
SIZE = 512
FUSED: Mapping[str, tuple[LinearPart, ...]] = ...
class LinearKit(CardKit):
    kind = KIND
    method: ClassVar[str] = 'none'
    settings: ClassVar[Mapping[str, Any]] = {}
    device: ClassVar[str] = ''
    max_loss: ClassVar[float] = 0.25
    input_unit: ClassVar[float] = 0.0
    has_input_scale: ClassVar[bool] = False
    size: ClassVar[int] = SIZE

    def quantise(self, weight_OI: Tensor) -> Mapping[str, Tensor]:
        ...

    def dequantise(self, tensors: Mapping[str, Tensor]) -> Tensor:
        ...

    @pytest.fixture
    def scheme(self) -> QuantizationScheme:
        ...

    @pytest.fixture
    def needs(self) -> list[QuantizationNeed]:
        ...

    @pytest.fixture
    def dtype(self) -> str:
        ...

    @classmethod
    @cache
    def used_device(cls) -> str:
        ...

    def part(self, in_size: int=SIZE, out_size: int=SIZE, *, bias: bool=False, split: str='column', copies: int=1) -> LinearPart:
        ...

    def fusable(self, scheme: QuantizationScheme, parts: Sequence[LinearPart], num_ranks: int) -> list[LinearPart]:
        ...

    def grown(self, part: LinearPart) -> LinearPart:
        ...

    def stored(self, parts: Sequence[LinearPart], dtype: str, *, rescale: Rescale=same_weights, seed: int=0) -> StoredParts:
        ...

    def check(self, found: Tensor, stored: StoredParts, x: Tensor, *ranks: int) -> None:
        ...

    def need(self, dtype: str, device: str='', method: str='') -> QuantizationNeed:
        ...
def sizes(size: object) -> str:
    ...
def odd_part(in_size: int, out_size: int, split: str, *, bias: bool=False) -> LinearPart:
    ...
def skip_refused(error: JackfieldError) -> None:
    ...
