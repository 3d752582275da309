# Part of: jackfield_testing 0.1
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import ModelSpec
from jackfield_testing.tokenizer import END_TOKEN_ID
from jackfield_testing.tokenizer import VOCAB_SIZE
ARCHITECTURE = 'ReferenceForCausalLM'
Sight = int | str | None
def tiny_spec(num_layers: int=2, *, windows: Sequence[Sight]=(None,), max_length: int=512, vocab_size: int=VOCAB_SIZE, end_token_ids: tuple[int, ...]=(END_TOKEN_ID,)) -> ModelSpec:
    ...
def sight_of(window: Sight) -> dict[str, Any]:
    ...
def reference_model(config: ConfigReader) -> ModelSpec:
    ...
def write_model(folder: Path, *, num_layers: int=2, windows: Sequence[Sight]=(None,), max_length: int=512) -> Path:
    ...
