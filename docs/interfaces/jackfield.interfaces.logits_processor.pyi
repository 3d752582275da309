# Part of: jackfield_torch.logits_processors.v1
from collections.abc import Mapping
from typing import Any
from typing import ClassVar
from jackfield.interfaces.card import Card
class LogitsProcessor(Card):
    arguments: ClassVar[type]

    def read(self, name: str, values: Mapping[str, Any]) -> Any:
        ...
