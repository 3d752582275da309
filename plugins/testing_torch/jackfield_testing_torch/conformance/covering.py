"""Few combinations that contain every pair of values. Most faults need no more than two values to appear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Choice = dict[str, Any]
"""A value for each axis."""
_Part = tuple[tuple[str, Any], ...]


def covering(
    axes: Mapping[str, Sequence[Any]],
    strength: int = 2,
    is_possible: Callable[[Choice], bool] = lambda part: True,
) -> Iterator[Choice]:
    """Choices in which the values of any `strength` axes occur in all combinations.

    `is_possible` tells for some values of a choice whether any wanted choice has them. Combinations that no wanted
    choice has are left out, and no unwanted choice is made. A strength of 1 shows each value once; a strength of the
    number of axes, or more, gives the whole product. The order is the same in every run. The algorithm is greedy:
    each choice starts from a missing combination, and takes on the other axes the values that show most of what is
    missing; among equals the first.
    """
    if strength >= len(axes):
        whole = (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
        yield from filter(is_possible, whole)
        return
    missing = {
        tuple(part.items())
        for names in combinations(axes, strength)
        for values in product(*(axes[name] for name in names))
        if is_possible(part := dict(zip(names, values, strict=True)))
    }
    for start in sorted(missing, key=lambda part: _place(part, axes)):
        if start not in missing:
            continue
        choice = dict(start)
        for name in axes:
            if name not in choice:
                values = [v for v in axes[name] if is_possible({**choice, name: v})]
                choice[name] = _best(name, values, choice, axes, missing, strength)
        missing.difference_update(_parts(choice, axes, strength))
        yield {name: choice[name] for name in axes}


def _place(part: _Part, axes: Mapping[str, Sequence[Any]]) -> list[tuple[int, int]]:
    order = list(axes)
    return [(order.index(name), axes[name].index(value)) for name, value in part]


def _best(
    name: str,
    values: Sequence[Any],
    choice: Choice,
    axes: Mapping[str, Sequence[Any]],
    missing: set[_Part],
    strength: int,
) -> Any:
    def num_shown(value: Any) -> int:
        return sum(part in missing for part in _parts({**choice, name: value}, axes, strength))

    return max(values, key=num_shown)


def _parts(choice: Choice, axes: Mapping[str, Sequence[Any]], strength: int) -> Iterator[_Part]:
    """The combinations in a whole or partial choice, each in the order of the axes."""
    return combinations([(name, choice[name]) for name in axes if name in choice], strength)
