"""LoRA adapters of PEFT, several in one batch."""
