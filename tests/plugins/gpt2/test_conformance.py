"""GPT-2 passes the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model


class TestGpt2(ModelKit):
    name = "GPT2LMHeadModel"
    configs: ClassVar = {
        "plain": {},
        "layer scales": {"scale_attn_by_inverse_layer_idx": True, "n_inner": 96},
    }
