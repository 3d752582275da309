"""Round-to-nearest in the shapes that checkpoints have: what the kits store. O outputs, I inputs, G groups."""

import torch


def grid(weight_OI, bits, size, *, sym, zero_from=0):
    """Codes from 0 [O, I], float16 scales and whole zero points [O, G]; the last group may be smaller."""
    weight_OI = weight_OI.float()
    group_I = torch.arange(weight_OI.shape[1]) // size
    groups = [weight_OI[:, group_I == g] for g in range(int(group_I.max()) + 1)]
    low = torch.stack([g.amin(1).clamp_max(0) for g in groups], 1)
    high = torch.stack([g.amax(1).clamp_min(0) for g in groups], 1)
    top = 2**bits - 1
    if sym:
        high = torch.maximum(high, -low) * top / (top - 1)
        low = -high
    scale_OG = ((high - low) / top).clamp_min(1e-4).half()
    zero_OG = torch.full_like(low, 2 ** (bits - 1)) if sym else (-low / scale_OG).round()
    zero_OG = zero_OG.clamp(zero_from, top)
    codes_OI = (weight_OI / scale_OG.float()[:, group_I]).round() + zero_OG[:, group_I]
    return codes_OI.clamp(0, top).to(torch.uint8), scale_OG, zero_OG.to(torch.uint8)


def symmetric(weight_OI, largest):
    """Scales [O, 1] that take the largest weight of each output to `largest`."""
    scale_O1 = weight_OI.float().abs().amax(1, keepdim=True) / largest
    return torch.where(scale_O1 > 0, scale_O1, 1.0)


def nearest(weight, values):
    """Index of the nearest of `values` [n] to each weight."""
    return (weight.unsqueeze(-1) - values).abs().argmin(-1).to(torch.uint8)
