"""Makes quantized checkpoints, layer by layer: `jackfield quantize`."""
