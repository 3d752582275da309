# Part of: jackfield_testing_torch 0.1
from collections.abc import Mapping
from torch import Tensor
from jackfield.model_spec import Attention
from jackfield.model_spec import ModelSpec
from jackfield_torch.attention_step import LongRows
from jackfield_torch.attention_step import RowSpan
from jackfield_torch.states import LayerStates
class DenseAttention:

    def __init__(self, spec: ModelSpec, sinks: Mapping[int, Tensor] | None=None) -> None:
        ...

    def attend(self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None) -> Tensor:
        ...

    def paged(self, layer: int) -> None:
        ...

    def write(self, layer: int, k_TKH: Tensor, v_TKH: Tensor | None) -> None:
        ...

    def long_rows(self, layer: int) -> LongRows | None:
        ...

    def keys(self, layer: int, span: RowSpan) -> Tensor:
        ...

    def states(self, layer: int) -> LayerStates:
        ...
def dense_attention(q_TNH: Tensor, k_LKH: Tensor, v_LKH: Tensor, mixer: Attention, sinks_N: Tensor | None=None) -> Tensor:
    ...
