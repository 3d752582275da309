"""The order of the Marlin kernel, shown against the plain model that a checkpoint was made of."""

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from jackfield_awq import marlin
from jackfield_compact.bits import unpack_bits


def test_the_weights_of_each_input_point_where_those_of_the_source_do(checkpoints):
    """AWQ scales inputs, so directions are what is left of the source."""
    stored = load_file(checkpoints / "autoawq" / "tiny-awq-4bit-g128-marlin" / "model.safetensors")
    source = load_file(checkpoints / "source" / "tiny" / "model.safetensors")
    for name in ("mlp.gate_proj", "mlp.down_proj", "self_attn.q_proj"):
        module = f"model.layers.0.{name}"
        qweight, scales = stored[f"{module}.qweight"], stored[f"{module}.scales"]
        num_inputs = 16 * len(qweight)

        codes_OI = marlin.codes(unpack_bits(qweight, 4, 1, 8 * qweight.shape[1]), num_inputs)

        group_I = torch.arange(num_inputs) // 128
        weight_OI = (codes_OI.float() - 8) * marlin.scales(scales).T.float()[:, group_I]
        likeness_I = F.cosine_similarity(weight_OI, source[f"{module}.weight"].float(), 0)
        assert likeness_I.median() > 0.98
