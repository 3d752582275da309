# Part of: jackfield.platforms.v1
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from jackfield.decision import Reason
from jackfield.interfaces.card import Card
from jackfield.interfaces.card import Facts
@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    adapt: Callable[[Any], Any]
    base: type | None
    deprecated_since: str
    removed_in: str

    def notice(self, major: int) -> str:
        ...
class AdaptedCard(Card):

    def __init__(self, old: Card) -> None:
        ...
    old: Card = ...

    def probe(self) -> Facts:
        ...

    def check(self, need: Any, facts: Facts) -> tuple[Reason, ...]:
        ...
def has_probe(card: Card) -> bool:
    ...
def has_check(card: Card) -> bool:
    ...
