"""Weights that are rounded to eight bits while they load pass the kit that strangers' schemes pass."""

from rounding import symmetric

from jackfield_testing_torch.conformance.quantization import QuantizationKit


class TestInt8(QuantizationKit):
    name = "int8"
    max_loss = 0.02
    input_unit = 2.0**-5

    def dequantise(self, tensors):
        scale_O1 = symmetric(tensors["weight"], 127)
        return (tensors["weight"].float() / scale_O1).round().double() * scale_O1.double()
