"""The GGUF weight format: a memory-mapped reader, dequantisation, and the metadata as configuration and tokenizer."""
