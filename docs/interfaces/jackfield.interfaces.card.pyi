# Part of: jackfield.commands.v1, jackfield.endpoints.v1, jackfield.executors.v1, jackfield.model_sources.v1, jackfield.platforms.v1, jackfield.reasoning_parsers.v1, jackfield.schedulers.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield.tokenizers.v1, jackfield.tool_parsers.v1, jackfield.weight_formats.v1, jackfield_torch.adapters.v1, jackfield_torch.attention_backends.v1, jackfield_torch.logits_processors.v1, jackfield_torch.quantization.v1
from abc import ABC
from collections.abc import Mapping
from typing import Any
from typing import ClassVar
from jackfield.decision import Reason
Facts = Mapping[str, str | int | float | bool | None]
class Card(ABC):
    features: ClassVar[frozenset[str]] = frozenset()
    options: ClassVar[type | None] = None
    facts_last: ClassVar[bool] = True
    only_named: ClassVar[bool] = False

    def probe(self) -> Facts:
        ...

    def check(self, need: Any, facts: Facts) -> tuple[Reason, ...]:
        ...

    def note(self, need: Any, facts: Facts) -> str:
        ...
def has_probe(card: Card) -> bool:
    ...
def has_check(card: Card) -> bool:
    ...
