"""What every quantization scheme must hold to: products with the dequantised weights, however they are cut."""

from jackfield_acme_int8.rounding import dequantise, quantise
from jackfield_torch.testing.conformance.quantization import QuantizationKit


class TestAcmeInt8(QuantizationKit):
    name = method = "acme_int8"
    max_loss = 0.02  # root mean square of what rounding loses, relative

    def quantise(self, weight_OI):
        weight_OI, scale_O1 = quantise(weight_OI)
        return {"weight": weight_OI, "weight_scale": scale_O1}

    def dequantise(self, tensors):
        return dequantise(tensors["weight"], tensors["weight_scale"]).double()
