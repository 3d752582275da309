"""Attention over whole rows of calibration, without a cache. R rows of L tokens each; T = R * L."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Attention, ModelSpec
from jackfield_torch.attention_step import KeysAndValuesOnly


class RowsAttention(KeysAndValuesOnly):
    """An `AttentionStep` for a layer at a time: each row attends to itself, as a prompt does."""

    def __init__(self, spec: ModelSpec, row_length: int) -> None:
        """Raises UnsupportedModelError for mixers of other kinds, and layers that cannot run one by one."""
        self._mixers: list[Attention] = []
        for index, layer in enumerate(spec.layers):
            if not isinstance(layer.mixer, Attention):
                raise UnsupportedModelError(
                    f"layer {index} of {spec.architecture} has a mixer of the kind {type(layer.mixer).__name__}; calibration "
                    "runs layers with plain attention alone. Take a scheme without it: --scheme rtn, fp8 or int8"
                )
            self._mixers.append(layer.mixer)
        shared = [i for i, layer in enumerate(spec.layers) if layer.cache_of_layer is not None]
        if shared:
            raise UnsupportedModelError(
                f"layer {shared[0]} of {spec.architecture} reads keys and values of layer "
                f"{spec.layers[shared[0]].cache_of_layer}; such models cannot be calibrated layer by layer. Take a scheme "
                "without calibration: --scheme rtn, fp8 or int8"
            )
        self._row_length = row_length
        self.sinks: dict[int, Tensor] = {}  # float32 [heads] of each layer that has them

    def attend(
        self, layer: int, q_TNH: Tensor, k_TKH: Tensor | None, v_TKH: Tensor | None
    ) -> Tensor:
        """See AttentionStep."""
        assert k_TKH is not None, "every layer has keys of its own"
        assert v_TKH is not None
        mixer = self._mixers[layer]
        q, k, v = (
            x.reshape(-1, self._row_length, *x.shape[1:]).transpose(1, 2)
            for x in (q_TNH, k_TKH, v_TKH)
        )
        if mixer.sinks or mixer.soft_cap:
            o = self._written_out(q, k, v, mixer, self.sinks.get(layer))
        else:
            is_local = mixer.window is not None or mixer.chunk_size is not None
            mask = self._mask(mixer, q.device) if is_local else None
            o = F.scaled_dot_product_attention(
                q, k, v, mask, is_causal=mask is None, scale=mixer.scale, enable_gqa=True
            )
        return o.transpose(1, 2).flatten(0, 1)

    def paged(self, layer: int) -> None:
        """See AttentionStep: there is no cache."""

    def _mask(self, mixer: Attention, device: torch.device) -> Tensor:
        """bool [L, L], true for the keys that a query sees."""
        position_L = torch.arange(self._row_length, device=device)
        distance = position_L.unsqueeze(1) - position_L
        seen = (distance >= 0) & (distance < (mixer.window or self._row_length))
        if mixer.chunk_size is not None:
            chunk_L = position_L // mixer.chunk_size
            seen &= chunk_L.unsqueeze(1) == chunk_L
        return seen

    def _written_out(
        self, q: Tensor, k: Tensor, v: Tensor, mixer: Attention, sinks_N: Tensor | None
    ) -> Tensor:
        groups = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = q @ k.transpose(2, 3) * mixer.scale
        if mixer.soft_cap:
            scores = (scores / mixer.soft_cap).tanh() * mixer.soft_cap
        scores = scores.masked_fill(~self._mask(mixer, q.device), -torch.inf)
        if sinks_N is None:
            return scores.softmax(-1) @ v
        column = sinks_N.to(scores.dtype).view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        return torch.cat((scores, column), -1).softmax(-1)[..., :-1] @ v
