"""The recurrence of Mamba-2, with its gate and norm."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from jackfield_torch.layers.scans import state_space_scan, state_space_step


class StateSpace:
    """N heads of P elements on this rank, G groups of states of S elements. Parameters are float32."""

    def __init__(
        self,
        *,
        num_heads: int,
        head_size: int,
        num_groups: int,
        a_log_N: Tensor,
        d_N: Tensor,
        step_bias_N: Tensor,
        min_step: float,
        max_step: float | None,
        norm_weight_Y: Tensor | None,
        norm_epsilon: float,
        norm_before_gate: bool,
    ) -> None:
        self._num_heads, self._head_size, self._num_groups = num_heads, head_size, num_groups
        self._a_N = -a_log_N.exp()
        self._d_N1, self._step_bias_N = d_N.unsqueeze(-1), step_bias_N
        self._min_step, self._max_step = min_step, max_step
        self._norm_weight_Y, self._norm_epsilon = norm_weight_Y, norm_epsilon
        self._norm_before_gate = norm_before_gate

    def __call__(
        self, mixed_BTC: Tensor, others_BTX: Tensor, state_BNPS: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See Recurrence. x, b and c are the mixed inputs; z and dt are the others."""
        size = self._num_heads * self._head_size
        z_BTY, dt_BTN = torch.split(others_BTX.float(), [size, self._num_heads], -1)
        dt_BTN = functional.softplus(dt_BTN + self._step_bias_N)
        if self._min_step > 0.0 or self._max_step is not None:
            dt_BTN = dt_BTN.clamp(self._min_step, self._max_step)
        x_BTNP = torch.unflatten(mixed_BTC[..., :size], -1, (self._num_heads, -1))
        b_BTNS, c_BTNS = (self._of_heads(part) for part in mixed_BTC[..., size:].chunk(2, -1))
        decay_BTN, added_BTNP = dt_BTN * self._a_N, x_BTNP * dt_BTN.unsqueeze(-1)
        if mixed_BTC.shape[1] == 1:
            y_BNP, state_BNPS = state_space_step(
                added_BTNP[:, 0], decay_BTN[:, 0], b_BTNS[:, 0], c_BTNS[:, 0], state_BNPS
            )
            y_BTNP = y_BNP.unsqueeze(1)
        else:
            y_BTNP, state_BNPS = state_space_scan(added_BTNP, decay_BTN, b_BTNS, c_BTNS, state_BNPS)
        y_BTY = torch.addcmul(y_BTNP, x_BTNP, self._d_N1).flatten(2)
        return self._gate(y_BTY, functional.silu(z_BTY)), state_BNPS

    def _of_heads(self, x_BTX: Tensor) -> Tensor:
        x_BTGS = torch.unflatten(x_BTX, -1, (self._num_groups, -1))
        return x_BTGS.repeat_interleave(self._num_heads // self._num_groups, 2)

    def _gate(self, y_BTY: Tensor, gate_BTY: Tensor) -> Tensor:
        if self._norm_weight_Y is None:
            return y_BTY * gate_BTY
        if self._norm_before_gate:
            return self._norm(y_BTY, self._norm_weight_Y) * gate_BTY
        return self._norm(y_BTY * gate_BTY, self._norm_weight_Y)

    def _norm(self, y_BTY: Tensor, weight_Y: Tensor) -> Tensor:
        y_BTGY = torch.unflatten(y_BTY, -1, (self._num_groups, -1))
        y_BTGY = functional.rms_norm(y_BTGY, y_BTGY.shape[-1:], None, self._norm_epsilon)
        return y_BTGY.flatten(2) * weight_Y
