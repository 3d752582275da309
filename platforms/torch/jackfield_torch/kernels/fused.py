"""The fused operations of CUDA and ROCm: with Triton's kernels if they serve, otherwise with torch."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from jackfield_torch.interfaces.kernels import (
    INVERSE_TEMPERATURE,
    NUM_COMPUTED,
    NUM_TOKENS,
    SEED,
    DrawFacts,
    ExpertFacts,
    FewExperts,
    HeadFacts,
    HeadKernel,
    Kernels,
    LatentFacts,
    LatentKernel,
    NarrowProduct,
    ProductFacts,
    Router,
    RouterFacts,
    RowTensors,
    StepTensors,
)
from jackfield_torch.kernels.activation import ACTIVATIONS, gated_activation
from jackfield_torch.kernels.few_choices import FewChoices
from jackfield_torch.kernels.heads import rotate_and_write
from jackfield_torch.kernels.latent_inputs import rotate_and_keep
from jackfield_torch.kernels.norm import add_rms_norm
from jackfield_torch.kernels.products import Choose, TritonProduct, choose_tile
from jackfield_torch.kernels.route import MOST_TOKENS, route
from jackfield_torch.kernels.sampling import draw_tokens
from jackfield_torch.kernels.scratch import Scratch
from jackfield_torch.kernels.steps import append_drawn, prepare_rows, update_words


class TritonKernels(Kernels):
    """Each operation is one launch, where torch needs several."""

    def __init__(self, choose: Choose = choose_tile) -> None:
        self._choose = choose  # chooses how products of few tokens are computed
        self._scratch: Scratch | None = None

    def update_rows(self, rows: RowTensors, updates_U2: Tensor) -> None:
        """See Kernels."""
        update_words(rows.words_W, updates_U2)

    def prepare_step(self, rows: RowTensors, step: StepTensors) -> None:
        """One launch for each cache group. With dynamic ropes, whose positions begin elsewhere, torch's operations."""
        if rows.has_first_positions:
            super().prepare_step(rows, step)
            return
        for index, (table, block_ids, slots) in enumerate(
            zip(rows.block_ids, step.block_ids, step.slots, strict=True)
        ):
            prepare_rows(
                rows.records_RC,
                rows.token_ids_RL,
                table,
                (NUM_TOKENS, NUM_COMPUTED),
                rows.block_size,
                rows_S=step.rows_R,
                counts_S=step.counts_R,
                query_starts_S1=step.query_starts_R1,
                token_ids_T=step.token_ids_T,
                positions_T=step.positions_T,
                lengths_S=step.lengths_R,
                block_ids_SB=block_ids,
                slots_T=slots,
                is_first_group=index == 0,
            )

    def append_tokens(self, rows: RowTensors, rows_S: Tensor, token_ids_S: Tensor) -> None:
        """See Kernels."""
        append_drawn(rows.records_RC, rows.token_ids_RL, NUM_TOKENS, rows_S, token_ids_S)

    def sample(
        self, logits_PV: Tensor, records_PC: Tensor, num_outputs_P: Tensor, facts: DrawFacts
    ) -> Tensor:
        """One pass over the logits if no row filters."""
        if facts.has_filters:
            return super().sample(logits_PV, records_PC, num_outputs_P, facts)
        if not facts.is_random:
            return draw_tokens(logits_PV, None, None, None)
        inverse_P = records_PC.view(torch.float32)[:, INVERSE_TEMPERATURE]
        return draw_tokens(logits_PV, inverse_P, records_PC[:, SEED : SEED + 2], num_outputs_P)

    def add_rms_norm(
        self, x_TE: Tensor, branch_TE: Tensor | None, weight_E: Tensor, epsilon: float
    ) -> Tensor:
        """See Kernels."""
        return add_rms_norm(x_TE, branch_TE, weight_E, epsilon)

    def gate(self, activation: str, x_T2F: Tensor) -> Tensor:
        """See Kernels. Activations without a kernel are computed with torch."""
        if activation not in ACTIVATIONS:
            return super().gate(activation, x_T2F)
        return gated_activation(x_T2F, activation)

    def head_kernel(self, facts: HeadFacts) -> HeadKernel | None:
        """One launch for all heads of a token."""
        return partial(rotate_and_write, facts)

    def narrow_product(self, facts: ProductFacts) -> NarrowProduct | None:
        """See Kernels. None if the library is chosen for all shapes."""
        if facts.activation not in ("", *ACTIVATIONS) or (
            facts.activation and facts.bias_O is not None
        ):
            return None
        if self._scratch is None:
            self._scratch = Scratch(facts.weight_OI.device)
        product = TritonProduct(facts, self._choose, self._scratch)
        return product if product.most_tokens else None

    def few_experts(self, facts: ExpertFacts) -> FewExperts | None:
        """See Kernels."""
        return FewChoices(facts) if facts.activation in ACTIVATIONS else None

    def router(self, facts: RouterFacts) -> tuple[Router, int] | None:
        """See Kernels."""
        return partial(route, facts), MOST_TOKENS

    def latent_kernel(self, facts: LatentFacts) -> LatentKernel | None:
        """One launch for all heads of a token."""
        return partial(rotate_and_keep, facts)
