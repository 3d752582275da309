"""Reads quantized checkpoints in plain numpy, slowly and by the letter of each format: the oracle of our readers."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import torch

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E2M1 = np.concatenate([E2M1, -E2M1])


def plain_weights(tensors, table):
    """float32 weights of every module that is stored otherwise, and all other tensors as they are."""
    modules = {}
    for name, tensor in tensors.items():
        module, _, parameter = name.partition("_proj.")
        if parameter:
            modules.setdefault(module + "_proj", {})[parameter] = tensor
    weights = {name: tensor.float() for name, tensor in tensors.items() if "_proj." not in name}
    for module, found in modules.items():
        settings = dict(table)
        if groups := table.get("config_groups"):
            settings |= next(iter(groups.values()))
        weights[f"{module}.weight"] = torch.from_numpy(weight_of(found, settings)).float()
    return weights


def weight_of(t, settings):
    """[O, I] of the parameters of one module, whichever format they have."""
    method = settings["quant_method"]
    if "weight.quant_map" in t:
        return bitsandbytes_4bit(t)
    if "SCB" in t:
        return number(t["weight"]) * number(t["SCB"])[:, None] / 127
    if method == "squeezellm":
        return squeezellm(t)
    if method == "torchao":
        zero = number(t["_weight_zero_point"]) if "_weight_zero_point" in t else 0.0
        return grouped(number(t["_weight_qdata"]), number(t["_weight_scale"]), zero)
    if method == "awq" or settings.get("packing_format") == "auto_round:auto_awq":
        return awq(t, settings)
    if "qweight" in t:
        return gptq(t, settings)
    if "weight_packed" in t:
        return packed(t, settings)
    scale = number(t.get("weight_scale", t.get("weight_scale_inv")))
    if "weight_scale_method" in settings:
        scale = 1 / scale
    return grouped(number(t["weight"]), scale.reshape(-1, 1) if scale.ndim < 2 else scale)


def number(tensor):
    return tensor.double().numpy()


def stream(words, bits, count):
    """Codes along the last axis of a little-endian stream."""
    octets = np.ascontiguousarray(words.numpy()).view(np.uint8)
    ones = np.unpackbits(octets, axis=-1, bitorder="little")
    whole = ones.shape[-1] // bits * bits
    digits = ones[..., :whole].reshape(*ones.shape[:-1], -1, bits)
    return (digits * 2 ** np.arange(bits)).sum(-1)[..., :count]


def planes(words, bits, count):
    """Codes along the last axis in bit planes of 32."""
    widths = {3: (2, 1), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}.get(bits, (bits,))
    found = []
    for block in range(words.shape[-1] // bits):
        at, shift, codes = block * bits, 0, 0
        for width in widths:
            plane = words[..., at : at + width].contiguous()
            codes = codes + (stream(plane, width, 32) << shift)
            at, shift = at + width, shift + width
        found.append(codes)
    return np.concatenate(found, -1)[..., :count]


def grouped(codes, scale, zero=0.0):
    """(codes - zero) * scale, each of them for equal blocks of outputs and inputs."""

    def spread(values):
        values = np.asarray(values, dtype=np.float64)
        if values.ndim == 0:
            return values
        for axis in (0, 1):
            # blocks of 128 where they do not divide, else of equal size
            size = math.ceil(codes.shape[axis] / values.shape[axis])
            values = values.repeat(size, axis)
        return values[: codes.shape[0], : codes.shape[1]]

    return (codes - spread(zero)) * spread(scale)


def gptq(t, settings):
    bits, form = settings["bits"], settings.get("checkpoint_format", "gptq")
    unpack = planes if form == "gptq_p" else stream
    scales = number(t["scales"])  # [G, O]
    num_groups, num_outputs = scales.shape
    num_inputs = len(t["g_idx"]) if "g_idx" in t else t["qweight"].shape[0] * 32 // bits
    codes = unpack(t["qweight"].T.contiguous(), bits, num_inputs)  # [O, I]
    zeros = unpack(t["qzeros"], bits, num_outputs)  # [G, O]
    if form == "gptq":
        zeros = (zeros + 1) % 2**bits
    group = (
        t["g_idx"].numpy() if "g_idx" in t else np.arange(num_inputs) // (num_inputs // num_groups)
    )
    return (codes - zeros[group].T) * scales[group].T


def awq(t, settings):
    version = settings.get("version", "gemm")
    if version == "gemv_fast":
        return awq_fast(t, settings)
    if version == "gemv":
        num_inputs = t["qweight"].shape[1] * 8
        num_groups = num_inputs // settings["group_size"]
        zeros = stream(t["qzeros"], 4, num_groups)
        codes = stream(t["qweight"], 4, num_inputs)
        return grouped(codes, number(t["scales"])[:, :num_groups], zeros)
    place = [0, 2, 4, 6, 1, 3, 5, 7]

    def ordered(words):
        nibbles = stream(words, 4, words.shape[1] * 8).reshape(len(words), -1, 8)
        out = np.empty_like(nibbles)
        for nibble, output in enumerate(place):
            out[..., output] = nibbles[..., nibble]
        return out.reshape(len(words), -1)

    return grouped(ordered(t["qweight"]).T, number(t["scales"]).T, ordered(t["qzeros"]).T)


def awq_fast(t, settings):
    words = t["qweight"].numpy().astype(np.int64) & 0xFFFF
    rows, num_inputs = words.shape
    num_groups = num_inputs // settings["group_size"]
    codes = np.empty((4 * rows, num_inputs), dtype=np.int64)
    for row in range(rows):
        for at in range(num_inputs):
            block, within = divmod(at, 64)
            for nibble in range(4):
                # the 256 nibbles of a block of four outputs and 64 inputs run through the words' nibbles
                output, place = divmod(4 * within + nibble, 64)
                half, i = divmod(place, 32)
                eight, lane = divmod(i, 8)
                unlaned = 2 * (lane % 4) + lane // 4  # 0 2 4 6 1 3 5 7
                pair, step = divmod(8 * eight + unlaned, 2)
                source = 8 * (pair % 4) + 2 * (pair // 4) + step
                codes[4 * row + output, 64 * block + 32 * half + source] = (
                    words[row, at] >> 4 * nibble
                ) & 15
    scale, zero = number(t["scales"])[:num_groups].T, number(t["qzeros"])[:num_groups].T
    return grouped(codes, scale) + grouped(np.ones(codes.shape), zero)


def packed(t, settings):
    scale = t["weight_scale"]
    if t["weight_packed"].dtype == torch.uint8:
        octets = t["weight_packed"].numpy()
        codes = np.stack([octets & 15, octets >> 4], -1).reshape(len(octets), -1)
        if scale.dtype == torch.uint8:
            return grouped(E2M1[codes], 2.0 ** (number(scale) - 127))
        return grouped(E2M1[codes], number(scale) / float(t["weight_global_scale"]))
    bits = settings["weights"]["num_bits"]
    num_outputs, num_inputs = t["weight_shape"].tolist()
    codes = stream(t["weight_packed"], bits, num_inputs) - 2 ** (bits - 1)
    zero = 0.0
    if "weight_zero_point" in t:
        zero = stream(t["weight_zero_point"].T.contiguous(), bits, num_outputs).T - 2 ** (bits - 1)
    return grouped(codes, number(scale), zero)


def bitsandbytes_4bit(t):
    state = next(value for name, value in t.items() if "quant_state" in name)
    state = json.loads(bytes(state.numpy()))
    octets = t["weight"].numpy().flatten()
    values = number(t["weight.quant_map"])[np.stack([octets >> 4, octets & 15], -1).flatten()]
    blocks = values.reshape(-1, state["blocksize"]) * number(t["weight.absmax"])[:, None]
    return blocks.reshape(state["shape"])


def squeezellm(t):
    table = number(t["lookup_table"])
    bits = int(math.log2(table.shape[1]))
    codes = stream(t["qweight"].T.contiguous(), bits, t["qweight"].shape[0] * 32 // bits)
    weight = np.take_along_axis(table, codes, 1)
    if "rows" in t:
        starts = t["rows"].tolist()
        for output, (start, stop) in enumerate(pairwise(starts)):
            for at in range(start, stop):
                weight[output, int(t["cols"][at])] += float(t["vals"][at])
    for at, output in enumerate(t.get("full_row_indices", torch.empty(0)).tolist()):
        weight[int(output)] += number(t["full_rows"])[:, at]
    return weight
