"""The outputs of a run, and their score by another implementation with the same weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jackfield.config import EngineConfig
from jackfield.errors import ConfigError

SCORER = "jackfield_testing_torch.scoring"  # a module with a function `score`


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducedText:
    """One answer."""

    prompt: Sequence[int]  # token ids
    output: Sequence[int]  # token ids
    temperature: float  # 0: greedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The score that the reference gives to the tokens of one line of the report."""

    reference: str  # the implementation and its version
    num_texts: int
    num_tokens: int
    # For greedy tokens: the worst and mean distance from the best logit, their limits, and the share of best tokens.
    margin: float | None = None
    margin_limit: float | None = None
    mean_margin: float | None = None
    mean_limit: float | None = None
    exact: float | None = None
    # For random tokens: the mean log probability minus its expectation, in standard deviations of the mean, and its
    # limit.
    deviation: float | None = None
    deviation_limit: float | None = None

    @property
    def is_passed(self) -> bool:
        """True if the tokens fit the model."""
        if self.margin is not None and self.margin_limit is not None:
            is_near = self.mean_margin is None or self.mean_margin <= (self.mean_limit or 0.0)
            return is_near and self.margin <= self.margin_limit
        if self.deviation is not None and self.deviation_limit is not None:
            return abs(self.deviation) <= self.deviation_limit
        return False

    def __str__(self) -> str:
        if self.margin is not None:
            found = f"margin {self.margin:.4f} of {self.margin_limit:.4f} allowed, {self.exact:.2%} are the best"
            if self.mean_margin is not None:
                found += f", in the mean {self.mean_margin:.5f} of {self.mean_limit:.5f}"
        else:
            found = f"{self.deviation:+.2f} standard deviations from what is expected, {self.deviation_limit:.1f} allowed"
        verdict = "right" if self.is_passed else "WRONG: the figure does not count"
        return f"{verdict} ({self.num_tokens} tokens scored by {self.reference}: {found})"


@dataclass(frozen=True, slots=True)
class RoundedBy:
    """A scheme that rounds the linears of the layers, with its options in a config."""

    scheme: str
    config: EngineConfig


# Arguments: the content of config.json, the texts of each line of the report, seed and dtype of the weights, the
# platform, and how linears are rounded.
Scorer = Callable[
    [Mapping[str, Any], Mapping[str, Sequence[ProducedText]], int, str, str, RoundedBy | None],
    Mapping[str, Score],
]


def load_scorer(module: str) -> Scorer:
    """The function `score` of a module. Raises ConfigError."""
    try:
        scorer: Scorer = importlib.import_module(module).score
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"outputs cannot be checked by {module}: {error}. Try: pip install 'jackfield-testing-torch[reference]', "
            "or name another module by --scorer"
        ) from error
    return scorer
