"""The GGUF weight format: a memory-mapped reader, dequantisation, and configuration and tokenizer from metadata."""
