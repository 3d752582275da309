# Part of: jackfield_testing_torch 0.1
from collections.abc import Mapping
from torch import Tensor
from jackfield.model_spec import Attention
from jackfield.model_spec import ModelSpec
class DenseAttention:

    def __init__(self, spec: ModelSpec, sinks: Mapping[int, Tensor] | None=None) -> None:
        ...

    def attend(self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None) -> Tensor:
        ...

    def paged(self, layer: int) -> None:
        ...
def dense_attention(q_TNH: Tensor, k_LKH: Tensor, v_LKH: Tensor, mixer: Attention, sinks_N: Tensor | None=None) -> Tensor:
    ...
