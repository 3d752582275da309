"""The fused operations of a device. This class computes them with torch; devices override them with faster ones.

If a graph is captured, a method's tensors keep their addresses. A method never waits for the device. Its results equal
those of this class: exactly for integers and random draws, rounded no worse for others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_torch.interfaces.attention import LayerCache
from jackfield_torch.layers.activation import activation_function
from jackfield_torch.layers.branch import add_branch
from jackfield_torch.sampling.argmax import argmax
from jackfield_torch.sampling.draw import draw
from jackfield_torch.sampling.filters import Filters
from jackfield_torch.sampling.random_numbers import uniform

# Columns of a row's record. Floats are stored by their bits.
NUM_TOKENS = 0  # tokens of the row, including drawn ones
NUM_COMPUTED = 1  # leading tokens whose keys and values are in the cache
NUM_PROMPT = 2  # leading tokens that were not drawn
INVERSE_TEMPERATURE = 3  # float32; 0: the most likely token is taken
TOP_K = 4  # 1 to the size of the vocabulary
TOP_P = 5  # float32
MIN_P = 6  # float32
REPETITION, PRESENCE, FREQUENCY = 7, 8, 9  # float32; penalties
SEED = 10  # int64, in two columns
# Index at which the row's positions begin in the tables of ropes. 0 unless `has_first_positions`.
FIRST_POSITION = 12
NUM_COLUMNS = 14  # even, because records are read as int64 too


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTensors:
    """All rows of a worker, followed by a spare row that pads steps. All tensors are views of `words_W`.

    The spare row has no tokens and a spare block for each group, and stays so: nothing is appended to it. Its top_k
    is 1, all other values of its record are 0.
    """

    words_W: Tensor  # int32; all tensors below are views of it
    records_RC: Tensor  # int32 [rows + 1, NUM_COLUMNS]
    token_ids_RL: Tensor  # int32 [rows + 1, length + 1]
    block_ids: tuple[Tensor, ...]  # int32 [rows + 1, blocks of a row], one for each cache group
    block_size: int  # tokens
    has_first_positions: bool  # False: FIRST_POSITION is 0 in every row

    @property
    def spare_row(self) -> int:
        """Index of the spare row, which is the last one."""
        return len(self.records_RC) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTensors:
    """A step of R rows and T tokens, including padding: inputs from the host, and tensors to fill."""

    rows_R: Tensor  # int32, from the host
    counts_R: Tensor  # int32, from the host: tokens to compute
    query_starts_R1: Tensor  # int32, from the host: the running sums of counts_R
    token_ids_T: Tensor  # int32, to fill
    positions_T: Tensor  # int64, to fill: positions in the tables of ropes and positions
    lengths_R: Tensor  # int32, to fill: tokens of each row, including this step's
    block_ids: tuple[Tensor, ...]  # int32 [R, B], one for each cache group, to fill
    slots: tuple[Tensor, ...]  # int64 [T], one for each cache group, to fill


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTensors:
    """Drafts of S rows that draw at P positions in all. Positions of a row stand together. All are from the host, int64.

    A row without a draft draws at one position.
    """

    rows_S: Tensor  # the rows that draw
    first_S: Tensor  # index of the first position of each row
    # Number of tokens that the row must hold for its draft to count; -1 if the row has no draft.
    starts_S: Tensor
    row_P: Tensor  # for each position, the index of its row among the S rows
    offsets_P: Tensor  # for each position, how many positions of its row come before
    # For each position, the guess of the token that is drawn there; -1 at the last position of a row.
    guesses_P: Tensor
    most: int  # number of guesses in the longest draft


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawFacts:
    """Facts on rows that draw together, known on the host. They tell which work no row needs."""

    is_random: bool = False  # some row has a temperature above 0
    has_filters: bool = False  # some row uses top_k, top_p or min_p
    needs_order: bool = False  # some row uses top_k or top_p
    most_k: int | None = None  # the largest top_k, if all rows that need an order have one


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFacts:
    """The work between a projection and attention: heads of q, k and v stand side by side."""

    num_heads: int  # heads of q on this rank
    num_kv_heads: int  # key-value heads on this rank
    head_size: int  # elements
    norm_weight_MH: Tensor | None  # float32, RMS norm of the heads of q and k; None: no norm
    norm_epsilon: float
    rotary_size: int  # leading elements of a head that rotate; 0: none
    interleaved: bool  # True: neighbours are pairs; False: halves are


# Arguments: qkv_TMH (M = N + 2K heads), the cosines and sines [T, 1, rotary_size], the layer's cache, and the slots of
# the tokens. Writes k and v into the cache, and returns q_TNH.
HeadKernel = Callable[[Tensor, Tensor, Tensor, LayerCache, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentFacts:
    """The work between the projections of latent attention and its products."""

    head_size: int  # elements of a query that are not rotated; the rotated ones follow
    latent_size: int  # elements of a latent vector; the rotated key follows
    rotary_size: int  # rotated elements
    norm_weight_C: Tensor  # float32, RMS norm of latent vectors
    norm_epsilon: float
    interleaved: bool  # True: neighbours are pairs; False: halves are


# Arguments: q_TNX and kept_TD as they are projected, the cosines and sines [T, 1, rotary_size], the layer's cache, and
# the slots of the tokens. Writes the normed latent vectors and the rotated keys into the cache. Returns queries in the
# space of cached vectors, [T, N, D], of which the rotated elements alone are filled.
LatentKernel = Callable[[Tensor, Tensor, Tensor, Tensor, LayerCache, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFacts:
    """A product with plain weights, and the operations around it in a layer."""

    weight_OI: Tensor  # in rows; on processors, if `is_mkldnn`, in the order of oneDNN
    bias_O: Tensor | None
    norm_weight_I: Tensor | None = None  # float32, RMS norm of the input; None: no norm
    norm_epsilon: float = 0.0
    # The outputs are a gate and an equal number of up, joined by this activation; "": they stay as they are.
    activation: str = ""


class NarrowProduct(ABC):
    """A product for steps of few tokens, whose time is that of reading the weights."""

    most_tokens: int  # the number of tokens up to which it is meant to be used

    @abstractmethod
    def __call__(self, x_TI: Tensor, into_TO: Tensor | None = None) -> Tensor:
        """The outputs in x's dtype, rounded once. If `into_TO` is given, they are added to it in place, and it is
        returned.
        """

    def after(self, x_TI: Tensor, branch_TI: Tensor | None) -> Tensor:
        """The outputs after `branch_TI` was added to x in place; a norm does both in one pass. For a branch in parts see
        `Kernels.add_rms_norm`.
        """
        return self(x_TI if branch_TI is None else add_branch(x_TI, branch_TI))

    def parts(self, x_TI: Tensor) -> Tensor | None:
        """The outputs as a branch, whole or in parts, that the next norm adds. Default: None, it is faster to call the
        product with `into_TO`.
        """
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertFacts:
    """The weights of all experts of a rank at one place: gate and up side by side, the activation between, and down."""

    into_XOI: Tensor
    into_bias_XO: Tensor | None
    out_XOI: Tensor
    out_bias_XO: Tensor | None
    activation: str  # joins gate and up
    first: int  # number of the rank's first expert


class FewExperts(ABC):
    """The experts of a step with few tokens, whose time is that of reading the weights of those that are chosen."""

    # Tokens times the experts of a token, also of experts that other ranks hold, up to which it is meant to be used.
    most_choices: int

    @abstractmethod
    def __call__(self, x_TE: Tensor, expert_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """The weighted sum of the experts of each token, in x's dtype. Experts of other ranks add nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterFacts:
    """A router that chooses among all experts, without groups. All tensors are float32."""

    weight_XE: Tensor
    bias_X: Tensor | None  # added to the logits
    choice_bias_X: (
        Tensor | None
    )  # added to the scores by which experts are chosen, but not to their weights
    top_k: int  # experts of a token
    is_sigmoid: bool  # scores are sigmoids of logits; otherwise their softmax
    renormalise: bool  # the weights of a token add up to `factor`
    factor: float  # multiplies weights


# Maps x_TE to expert_TK (int64) and weight_TK (float32).
Router = Callable[[Tensor], tuple[Tensor, Tensor]]


class Kernels:
    """Every operation with torch's own operations, on any device."""

    def update_rows(self, rows: RowTensors, updates_U2: Tensor) -> None:
        """Set words of the rows: int32 pairs of an index in `words_W` and a value. No index occurs twice."""
        rows.words_W.index_copy_(0, updates_U2[:, 0].long(), updates_U2[:, 1])

    def prepare_step(self, rows: RowTensors, step: StepTensors) -> None:
        """Fill the tensors of `step`, and count the tokens of the step as computed.

        The tokens of row r stand at positions num_computed to num_computed + count. At most as many as the row holds
        count as computed.
        """
        rows_R = step.rows_R.long()
        records_RC = rows.records_RC.index_select(0, rows_R)
        starts_R = records_RC[:, NUM_COMPUTED]
        torch.add(starts_R, step.counts_R, out=step.lengths_R)
        computed_R = torch.minimum(step.lengths_R, records_RC[:, NUM_TOKENS])
        rows.records_RC[:, NUM_COMPUTED].index_copy_(0, rows_R, computed_R)
        row_T, start_T = rows_R, starts_R
        num_rows, num_tokens = len(rows_R), len(step.positions_T)
        if num_tokens > num_rows:
            token_T = torch.arange(num_tokens, dtype=torch.int32, device=rows_R.device)
            place_T = torch.searchsorted(step.query_starts_R1[1:], token_T, right=True)
            shift_R = starts_R - step.query_starts_R1[:-1]
            row_T = rows_R.index_select(0, place_T)
            start_T = token_T.add_(shift_R.index_select(0, place_T))
        positions_T = step.positions_T.copy_(start_T)
        width = rows.token_ids_RL.shape[1]
        torch.index_select(
            rows.token_ids_RL.view(-1), 0, row_T * width + positions_T, out=step.token_ids_T
        )
        block_T = positions_T // rows.block_size
        offset_T = positions_T - block_T * rows.block_size
        for table, block_ids_RB, slots_T in zip(
            rows.block_ids, step.block_ids, step.slots, strict=True
        ):
            narrow = table[:, : block_ids_RB.shape[1]]
            torch.index_select(narrow, 0, rows_R, out=block_ids_RB)
            found_T = table.view(-1).index_select(0, row_T * table.shape[1] + block_T)
            slots_T.copy_(found_T).mul_(rows.block_size).add_(offset_T)
        if rows.has_first_positions:
            first_R = records_RC[:, FIRST_POSITION]
            positions_T += first_R if num_tokens == num_rows else first_R.index_select(0, place_T)

    def append_tokens(self, rows: RowTensors, rows_S: Tensor, token_ids_S: Tensor) -> None:
        """Append a token to each of these rows (int32 or int64), except the spare row. A negative id means token 0.

        All tokens but the new one then count as computed.
        """
        rows_S, width = rows_S.long(), rows.token_ids_RL.shape[1]
        num_tokens_S = rows.records_RC[:, NUM_TOKENS].index_select(0, rows_S)
        place_S = rows_S * width + num_tokens_S
        rows.token_ids_RL.view(-1).index_copy_(0, place_S, token_ids_S.clamp(min=0).int())
        num_tokens_S += rows_S < rows.spare_row
        rows.records_RC[:, NUM_TOKENS].index_copy_(0, rows_S, num_tokens_S)

    def confirm_drafts(self, rows: RowTensors, drafts: DraftTensors, token_ids_P: Tensor) -> Tensor:
        """Append to each row the drawn tokens up to the first one that differs from its guess. Returns their numbers.

        They are int64 [S], 1 to the length of the draft + 1; 1 if the row does not hold as many tokens as its draft
        starts at. All tokens but the last one then count as computed. A negative id means token 0.
        """
        width = rows.token_ids_RL.shape[1]
        records_SC = rows.records_RC.index_select(0, drafts.rows_S)
        num_tokens_S = records_SC[:, NUM_TOKENS].long()
        step_D = torch.arange(drafts.most, device=token_ids_P.device)
        # After the last position of a row come those of other rows. The row's own guess of -1 has ended the count by
        # then.
        places_SD = (drafts.first_S.unsqueeze(1) + step_D).clamp(max=len(token_ids_P) - 1)
        is_right_P = token_ids_P == drafts.guesses_P
        is_right_SD = is_right_P[places_SD] & (drafts.guesses_P[places_SD] >= 0)
        is_right_SD &= (num_tokens_S == drafts.starts_S).unsqueeze(1)
        counts_S = is_right_SD.long().cumprod(1).sum(1) + 1
        # Tokens after the first wrong guess lie behind the end of the row, where the next tokens overwrite them.
        place_P = (drafts.rows_S * width + num_tokens_S)[drafts.row_P] + drafts.offsets_P
        rows.token_ids_RL.view(-1).index_copy_(0, place_P, token_ids_P.clamp(min=0).int())
        new_S = (num_tokens_S + counts_S).int()
        rows.records_RC[:, NUM_TOKENS].index_copy_(0, drafts.rows_S, new_S)
        rows.records_RC[:, NUM_COMPUTED].index_copy_(0, drafts.rows_S, new_S - 1)
        return counts_S

    def sample(
        self, logits_PV: Tensor, records_PC: Tensor, num_outputs_P: Tensor, facts: DrawFacts
    ) -> Tensor:
        """One token for each row of logits (float32, or the activations' dtype); int64, -1 if no token can be drawn.

        `records_PC` are the records of the rows that draw; `num_outputs_P`, int64, is the index in the row's random
        numbers. Both are empty unless `facts.is_random`; only then may the logits be overwritten. A token can be
        drawn if the largest logit is finite and none is NaN.
        """
        logits_PV = logits_PV.float()
        token_ids_P, peak_P = argmax(logits_PV)
        is_valid_P = peak_P.isfinite()
        if facts.is_random:
            floats_PC = records_PC.view(torch.float32)
            inverse_P = floats_PC[:, INVERSE_TEMPERATURE]
            # The largest weight is 1, so nothing overflows, and min_p compares with the weight itself.
            weights_PV = logits_PV.sub_(peak_P.unsqueeze(-1)).mul_(inverse_P.unsqueeze(-1)).exp_()
            filters = Filters(
                top_k_S=records_PC[:, TOP_K].long(),
                top_p_S=floats_PC[:, TOP_P].double(),
                min_p_S=floats_PC[:, MIN_P],
                is_active=facts.has_filters,
                needs_order=facts.needs_order,
                most_k=facts.most_k,
            )
            seeds_P = records_PC.view(torch.int64)[:, SEED // 2]
            drawn_P = draw(filters.apply(weights_PV), uniform(seeds_P, num_outputs_P))
            token_ids_P = torch.where(inverse_P > 0, drawn_P, token_ids_P)
        return token_ids_P.masked_fill_(~is_valid_P, -1)

    def add_rms_norm(
        self, x_TE: Tensor, branch_TE: Tensor | None, weight_E: Tensor, epsilon: float
    ) -> Tensor:
        """Add `branch_TE` to `x_TE` in place, then the RMS norm of that (Zhang and Sennrich 2019).

        A branch is [T, E], or parts of it that are to be added up, [P, T, E] in float32.
        The sum is rounded to x's dtype; the norm is computed in float32 and rounded once. `weight_E` is float32.
        """
        if branch_TE is not None:
            add_branch(x_TE, branch_TE)
        y_TE = torch.rms_norm(x_TE.float(), tuple(weight_E.shape), weight_E, epsilon)
        return y_TE.to(x_TE.dtype)

    def gate(self, activation: str, x_T2F: Tensor) -> Tensor:
        """activation(gate) * up. Gate and up stand side by side in the last axis."""
        gate_TF, up_TF = x_T2F.chunk(2, -1)
        return activation_function(activation)(gate_TF).mul_(up_TF)

    def head_kernel(self, facts: HeadFacts) -> HeadKernel | None:
        """Norm, rotation and writing of the cache in one call. None: the runtime does them one after another."""
        return None

    def narrow_product(self, facts: ProductFacts) -> NarrowProduct | None:
        """A product for few tokens that includes norm, gate and sum. None: separate operations are as fast."""
        return None

    def stacks_experts(self, dtype: torch.dtype, activation: str) -> bool:
        """True if `few_experts` has a kernel for plain weights in that dtype, so that they shall be one tensor.

        `activation` joins gate and up; "": they are joined in another way. It is asked on processors alone, where separate
        matrices can be packed. On accelerators experts are stacked if their scheme can.
        """
        return False

    def few_experts(self, facts: ExpertFacts) -> FewExperts | None:
        """Experts for few tokens. None: separate operations are as fast."""
        return None

    def router(self, facts: RouterFacts) -> tuple[Router, int] | None:
        """A router for steps of so many tokens. None: separate operations are as fast."""
        return None

    def latent_kernel(self, facts: LatentFacts) -> LatentKernel | None:
        """Norm, rotation and writing of a latent cache in one call. None: the runtime does them one after another."""
        return None
