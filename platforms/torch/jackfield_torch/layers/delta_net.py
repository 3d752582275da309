"""The recurrence of gated delta networks, with its gate and norm."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from jackfield_torch.layers.scans import delta_rule_scan, delta_rule_step

_EPSILON = 1e-6  # added to the squared length of queries and keys, as in the authors' kernels


class DeltaRule:
    """N heads of values of V elements on this rank, M heads of keys of K elements. Parameters are float32."""

    def __init__(
        self,
        *,
        num_heads: int,
        num_key_heads: int,
        key_size: int,
        a_log_N: Tensor,
        step_bias_N: Tensor,
        norm_weight_V: Tensor,
        norm_epsilon: float,
    ) -> None:
        self._num_heads, self._num_key_heads, self._key_size = num_heads, num_key_heads, key_size
        self._a_N, self._step_bias_N = -a_log_N.exp(), step_bias_N
        self._norm_weight_V, self._norm_epsilon = norm_weight_V, norm_epsilon

    def __call__(
        self, mixed_BTC: Tensor, others_BTX: Tensor, state_BNKV: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See Recurrence. q, k and v are the mixed inputs; z, beta and the decay are the others."""
        size = self._num_key_heads * self._key_size
        q_BTNK, k_BTNK = (
            self._of_heads(mixed_BTC[..., start : start + size]) for start in (0, size)
        )
        v_BTNV = torch.unflatten(mixed_BTC[..., 2 * size :], -1, (self._num_heads, -1))
        num_gates = others_BTX.shape[-1] - 2 * self._num_heads
        z_BTY, beta_BTN, step_BTN = torch.split(
            others_BTX.float(), [num_gates, self._num_heads, self._num_heads], -1
        )
        beta_BTN = beta_BTN.sigmoid()
        decay_BTN = self._a_N * functional.softplus(step_BTN + self._step_bias_N)
        q_BTNK = q_BTNK * self._key_size**-0.5
        if mixed_BTC.shape[1] == 1:
            o_BNV, state_BNKV = delta_rule_step(
                q_BTNK[:, 0],
                k_BTNK[:, 0],
                v_BTNV[:, 0],
                beta_BTN[:, 0],
                decay_BTN[:, 0],
                state_BNKV,
            )
            o_BTNV = o_BNV.unsqueeze(1)
        else:
            o_BTNV, state_BNKV = delta_rule_scan(
                q_BTNK, k_BTNK, v_BTNV, beta_BTN, decay_BTN, state_BNKV
            )
        normed = functional.rms_norm(
            o_BTNV, o_BTNV.shape[-1:], self._norm_weight_V, self._norm_epsilon
        )
        return normed.flatten(2) * functional.silu(z_BTY), state_BNKV

    def _of_heads(self, x_BTX: Tensor) -> Tensor:
        """Scale to length one, and repeat for each head of values."""
        x_BTMK = torch.unflatten(x_BTX, -1, (self._num_key_heads, -1))
        x_BTMK = x_BTMK * (x_BTMK.square().sum(-1, keepdim=True) + _EPSILON).rsqrt()
        return x_BTMK.repeat_interleave(self._num_heads // self._num_key_heads, 2)
