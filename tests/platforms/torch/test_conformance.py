from jackfield_torch.testing.conformance.quantization import QuantizationKit


class TestUnquantized(QuantizationKit):
    name = "unquantized"
