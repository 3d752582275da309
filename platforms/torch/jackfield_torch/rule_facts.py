"""The facts by which the user's rules tell parts of a model apart. Parts that differ in them cannot share a selection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jackfield.config import EngineConfig, Scalar


class NamedFacts:
    """The values that rules of select.<setting> match on. The form of rules is checked elsewhere, when they are read."""

    def __init__(self, config: EngineConfig, setting: str) -> None:
        rules = config.select.get(setting)
        # The values are kept as texts: then layer "3" in a rule counts as layer 3, and the type error is reported
        # later.
        self._values: dict[str, list[str]] = {}
        for rule in rules if isinstance(rules, (list, tuple)) else ():
            match = rule.get("match") if isinstance(rule, Mapping) else None
            for name, value in match.items() if isinstance(match, Mapping) else ():
                is_any_of = isinstance(value, (list, tuple))
                values = value if is_any_of else [value]
                self._values.setdefault(name, []).extend(map(str, values))

    def of(self, facts: Mapping[str, Scalar]) -> tuple[Scalar, ...]:
        """Equal for parts that no rule tells apart: a fact's value if some rule names the value, otherwise None."""
        return tuple(
            facts.get(name) if str(facts.get(name)) in values else None
            for name, values in self._values.items()
        )


def shared_facts(facts: Iterable[Mapping[str, Scalar]]) -> dict[str, Scalar]:
    """The facts that are equal for all parts of a group. None: differs within the group."""
    first, *others = facts
    return {
        name: value if all(other[name] == value for other in others) else None
        for name, value in first.items()
    }


def layers_in_words(layers: Sequence[int]) -> str:
    """ "layer 3", "layers 0-4, 6"."""
    found = ranges(layers)
    is_one = len(found) == 1 and "-" not in found[0]
    return f"{'layer' if is_one else 'layers'} {', '.join(found)}"


def ranges(numbers: Sequence[int]) -> list[str]:
    """Ascending numbers in words: "0-4", "6"."""
    starts = [n for i, n in enumerate(numbers) if i == 0 or numbers[i - 1] != n - 1]
    ends = [n for i, n in enumerate(numbers) if i == len(numbers) - 1 or numbers[i + 1] != n + 1]
    return [
        str(start) if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    ]
