"""The kits that every quantization scheme and every command must pass: right products, and errors in words."""

import pytest
import torch
from jackfield_testing.conformance.command import CommandKit
from jackfield_testing_torch.conformance.quantization import QuantizationKit
from safetensors.torch import save_file

from jackfield_acme_int8.rounding import dequantise, quantise


class TestAcmeInt8(QuantizationKit):
    name = method = "acme_int8"
    max_loss = 0.02  # root mean square of the rounding error, relative to the weights

    def quantise(self, weight_OI):
        weight_OI, scale_O1 = quantise(weight_OI)
        return {"weight": weight_OI, "weight_scale": scale_O1}

    def dequantise(self, tensors):
        return dequantise(tensors["weight"], tensors["weight_scale"]).double()


class TestTool(CommandKit):
    name = "acme-int8"
    good_calls = (("model", "int8", "--keep", "layers.0"),)
    bad_calls = (("nowhere", "int8"), ("model", "model"), ("model", "int8", "--keep", "layers"), ())

    @pytest.fixture
    def folder(self, tmp_path):
        """Holds a model of two layers, as far as the tool looks."""
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
        tensors = {f"model.layers.{i}.mlp.down_proj.weight": torch.ones(2, 3) for i in range(2)}
        save_file(tensors, tmp_path / "model" / "model.safetensors")
        return tmp_path
