# Part of: jackfield.models.v1
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from jackfield.dtypes import DType
from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import Attention
from jackfield.model_spec import FeedForward
from jackfield.model_spec import Layer
from jackfield.model_spec import ModelSpec
from jackfield.model_spec import ModuleSource
from jackfield.model_spec import Norm
from jackfield.model_spec import Rope
from jackfield.pooling import Classifier
ACTIVATIONS: Mapping[str, str] = ...
STANDARD_MODULES: Mapping[str, ModuleSource] = ...
@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int

    def attention(self, **changes: Any) -> Attention:
        ...
def read_shape(config: ConfigReader, *, default_kv_heads: int | None=None, default_head_size: int | None=None) -> Shape:
    ...
def read_activation(config: ConfigReader, key: str='hidden_act', default: str='silu') -> str:
    ...
def read_feed_forward(config: ConfigReader, *, activation: str='silu', key: str='hidden_act', **changes: Any) -> FeedForward:
    ...
def read_windows(config: ConfigReader, num_layers: int, window: int | None, is_window: Callable[[int], bool]) -> tuple[int | None, ...]:
    ...
def read_rope(config: ConfigReader, head_size: int, *, default_theta: float=10000.0, default_share: float | None=None) -> Rope:
    ...
def make_rope(config: ConfigReader, head_size: int, parameters: Mapping[str, Any]) -> Rope:
    ...
def read_max_length(config: ConfigReader, rope: Rope) -> int:
    ...
def read_end_token_ids(config: ConfigReader, default: int | None=None) -> tuple[int, ...]:
    ...
def read_dtype(config: ConfigReader) -> DType:
    ...
def read_classifier(config: ConfigReader, *, pooling: str, **changes: Any) -> Classifier:
    ...
def with_classifier(spec: ModelSpec, config: ConfigReader, source: str='score') -> ModelSpec:
    ...
def make_spec(config: ConfigReader, *, layers: tuple[Layer, ...], final_norm: Norm | None, modules: Mapping[str, ModuleSource]=STANDARD_MODULES, tied_head: bool=False, end_token_id: int | None=None, **changes: Any) -> ModelSpec:
    ...
