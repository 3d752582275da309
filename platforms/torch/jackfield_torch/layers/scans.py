"""Recurrences over many tokens at once: chunks are computed as matrices, and only states pass from chunk to chunk.

B rows of T tokens each, N heads, Q tokens of a chunk. Everything is float32. Decays are logarithms, at most 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_CHUNK = 64  # tokens; a chunk's matrices are about as large as a state


def state_space_scan(
    x_BTNP: Tensor, decay_BTN: Tensor, b_BTNS: Tensor, c_BTNS: Tensor, state_BNPS: Tensor
) -> tuple[Tensor, Tensor]:
    """state = exp(decay) state + x b, y = state c, token by token. Returns y_BTNP and the last state.

    Source: Dao and Gu 2024 (Mamba-2), section 6.
    """
    length = x_BTNP.shape[1]
    x, b, c = (_chunks(t) for t in (x_BTNP, b_BTNS, c_BTNS))  # [B, N, chunks, Q, ...]
    sums = _chunks(decay_BTN.unsqueeze(-1)).squeeze(-1).cumsum(-1)  # [B, N, chunks, Q]
    inside = (c @ b.transpose(-1, -2)).mul_(_between(sums)) @ x
    to_end = (sums[..., -1:] - sums).exp().unsqueeze(-1)
    added = x.transpose(-1, -2) @ (b * to_end)  # [B, N, chunks, P, S]
    from_start = sums.exp()
    carried = []
    for chunk in range(x.shape[2]):
        carried.append(state_BNPS)
        state_BNPS = from_start[:, :, chunk, -1, None, None] * state_BNPS + added[:, :, chunk]
    before = torch.stack(carried, 2)
    y = inside.add_((c * from_start.unsqueeze(-1)) @ before.transpose(-1, -2))
    return _tokens(y, length), state_BNPS


def state_space_step(
    x_BNP: Tensor, decay_BN: Tensor, b_BNS: Tensor, c_BNS: Tensor, state_BNPS: Tensor
) -> tuple[Tensor, Tensor]:
    """The same for one token."""
    state = decay_BN.exp()[..., None, None] * state_BNPS + x_BNP.unsqueeze(-1) * b_BNS.unsqueeze(2)
    return (state @ c_BNS.unsqueeze(-1)).squeeze(-1), state


def delta_rule_scan(
    q_BTNK: Tensor,
    k_BTNK: Tensor,
    v_BTNV: Tensor,
    beta_BTN: Tensor,
    decay_BTN: Tensor,
    state_BNKV: Tensor,
) -> tuple[Tensor, Tensor]:
    """state = exp(decay) state, then state += k (beta (v - k state)), o = q state. Returns o_BTNV and the last state.

    What a token writes depends on what earlier tokens of its chunk wrote; this is a triangular system. Source: Yang
    et al. 2025 (gated delta networks), section 3.
    """
    length = q_BTNK.shape[1]
    q, k, v = (_chunks(t) for t in (q_BTNK, k_BTNK, v_BTNV))
    beta, decay = (_chunks(t.unsqueeze(-1)) for t in (beta_BTN, decay_BTN))
    sums = decay.squeeze(-1).cumsum(-1)
    between = _between(sums)
    from_start, to_end = sums.exp().unsqueeze(-1), (sums[..., -1:] - sums).exp().unsqueeze(-1)
    system = ((k * beta) @ k.transpose(-1, -2)).mul_(between)  # the diagonal counts as one
    wanted = torch.cat((v * beta, k * beta * from_start), -1)
    solved = torch.linalg.solve_triangular(system, wanted, upper=False, unitriangular=True)
    written, read = torch.split(solved, [v.shape[-1], k.shape[-1]], -1)
    scores = (q @ k.transpose(-1, -2)).mul_(between)
    q, k = q * from_start, k * to_end
    outputs = []
    for chunk in range(q.shape[2]):
        new = written[:, :, chunk] - read[:, :, chunk] @ state_BNKV
        outputs.append(q[:, :, chunk] @ state_BNKV + scores[:, :, chunk] @ new)
        state_BNKV = from_start[:, :, chunk, -1:] * state_BNKV + k[:, :, chunk].mT @ new
    return _tokens(torch.stack(outputs, 2), length), state_BNKV


def delta_rule_step(
    q_BNK: Tensor,
    k_BNK: Tensor,
    v_BNV: Tensor,
    beta_BN: Tensor,
    decay_BN: Tensor,
    state_BNKV: Tensor,
) -> tuple[Tensor, Tensor]:
    """The same for one token."""
    state = decay_BN.exp()[..., None, None] * state_BNKV
    known = (k_BNK.unsqueeze(2) @ state).squeeze(2)
    new = (v_BNV - known) * beta_BN.unsqueeze(-1)
    state = state + k_BNK.unsqueeze(-1) * new.unsqueeze(2)
    return (q_BNK.unsqueeze(2) @ state).squeeze(2), state


def _chunks(x_BTNX: Tensor) -> Tensor:
    """[B, N, chunks, Q, X]. Zeros after the last token change no state."""
    missing = -x_BTNX.shape[1] % _CHUNK
    padded = functional.pad(x_BTNX, (0, 0, 0, 0, 0, missing))
    return torch.unflatten(padded, 1, (-1, _CHUNK)).permute(0, 3, 1, 2, 4)


def _tokens(y: Tensor, length: int) -> Tensor:
    """Back to [B, T, N, X]."""
    return y.permute(0, 2, 3, 1, 4).flatten(1, 2)[:, :length]


def _between(sums: Tensor) -> Tensor:
    """Factor with which a token's (column) contribution remains at a later token or itself (row); 0 for other pairs."""
    size = sums.shape[-1]
    later = torch.ones(size, size, dtype=torch.bool, device=sums.device).triu(1)
    return (sums.unsqueeze(-1) - sums.unsqueeze(-2)).masked_fill_(later, -torch.inf).exp_()
