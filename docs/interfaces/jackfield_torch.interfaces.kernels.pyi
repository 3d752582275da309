# Part of: jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
import torch
from torch import Tensor
from jackfield_torch.interfaces.attention import LayerCache
NUM_TOKENS = 0
NUM_COMPUTED = 1
NUM_PROMPT = 2
INVERSE_TEMPERATURE = 3
TOP_K = 4
TOP_P = 5
MIN_P = 6
SEED = 10
FIRST_POSITION = 12
NUM_COLUMNS = 14
@dataclass(frozen=True, slots=True, kw_only=True)
class RowTensors:
    words_W: Tensor
    records_RC: Tensor
    token_ids_RL: Tensor
    block_ids: tuple[Tensor, ...]
    block_size: int
    has_first_positions: bool

    @property
    def spare_row(self) -> int:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class StepTensors:
    rows_R: Tensor
    counts_R: Tensor
    query_starts_R1: Tensor
    token_ids_T: Tensor
    positions_T: Tensor
    lengths_R: Tensor
    block_ids: tuple[Tensor, ...]
    slots: tuple[Tensor, ...]
@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTensors:
    rows_S: Tensor
    first_S: Tensor
    starts_S: Tensor
    row_P: Tensor
    offsets_P: Tensor
    guesses_P: Tensor
    most: int
@dataclass(frozen=True, slots=True, kw_only=True)
class DrawFacts:
    is_random: bool = False
    has_filters: bool = False
    needs_order: bool = False
    most_k: int | None = None
@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFacts:
    num_heads: int
    num_kv_heads: int
    head_size: int
    norm_weight_MH: Tensor | None
    norm_epsilon: float
    rotary_size: int
    interleaved: bool
HeadKernel = Callable[[Tensor, Tensor, Tensor, LayerCache, Tensor], Tensor]
@dataclass(frozen=True, slots=True, kw_only=True)
class LatentFacts:
    head_size: int
    latent_size: int
    rotary_size: int
    norm_weight_C: Tensor
    norm_epsilon: float
    interleaved: bool
LatentKernel = Callable[[Tensor, Tensor, Tensor, Tensor, LayerCache, Tensor], Tensor]
@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFacts:
    weight_OI: Tensor
    bias_O: Tensor | None
    norm_weight_I: Tensor | None = None
    norm_epsilon: float = 0.0
    activation: str = ''
class NarrowProduct(ABC):
    most_tokens: int

    @abstractmethod
    def __call__(self, x_TI: Tensor, into_TO: Tensor | None=None) -> Tensor:
        ...

    def after(self, x_TI: Tensor, branch_TI: Tensor | None) -> Tensor:
        ...

    def parts(self, x_TI: Tensor) -> Tensor | None:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertFacts:
    into_XOI: Tensor
    into_bias_XO: Tensor | None
    out_XOI: Tensor
    out_bias_XO: Tensor | None
    activation: str
    first: int
class FewExperts(ABC):
    most_choices: int

    @abstractmethod
    def __call__(self, x_TE: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class RouterFacts:
    weight_XE: Tensor
    bias_X: Tensor | None
    choice_bias_X: Tensor | None
    top_k: int
    is_sigmoid: bool
    renormalise: bool
    factor: float
Router = Callable[[Tensor], tuple[Tensor, Tensor]]
class Kernels:

    def update_rows(self, rows: RowTensors, updates_U2: Tensor) -> None:
        ...

    def prepare_step(self, rows: RowTensors, step: StepTensors) -> None:
        ...

    def append_tokens(self, rows: RowTensors, rows_S: Tensor, token_ids_S: Tensor) -> None:
        ...

    def confirm_drafts(self, rows: RowTensors, drafts: DraftTensors, token_ids_P: Tensor) -> Tensor:
        ...

    def sample(self, logits_PV: Tensor, records_PC: Tensor, num_outputs_P: Tensor, facts: DrawFacts) -> Tensor:
        ...

    def add_rms_norm(self, x_TE: Tensor, branch_TE: Tensor | None, weight_E: Tensor, epsilon: float) -> Tensor:
        ...

    def gate(self, activation: str, x_T2F: Tensor) -> Tensor:
        ...

    def head_kernel(self, facts: HeadFacts) -> HeadKernel | None:
        ...

    def narrow_product(self, facts: ProductFacts) -> NarrowProduct | None:
        ...

    def stacks_experts(self, dtype: torch.dtype, activation: str) -> bool:
        ...

    def few_experts(self, facts: ExpertFacts) -> FewExperts | None:
        ...

    def router(self, facts: RouterFacts) -> tuple[Router, int] | None:
        ...

    def latent_kernel(self, facts: LatentFacts) -> LatentKernel | None:
        ...
