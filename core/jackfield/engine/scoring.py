"""How well two texts fit each other: by a model that reads both at once, or by the vectors of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from jackfield.engine.prompt import TextPair
from jackfield.errors import RequestError
from jackfield.pooling import CLASSES, PoolingParams

# Names of the prompts for a query and for a document in models' files.
_QUERY = ("query",)
_DOCUMENT = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text to compute, for one side of a pair or for both, and the name of the prompt before it."""

    prompt: Any  # a text, or a TextPair
    prompt_name: str | None = None
    params: PoolingParams = PoolingParams()  # noqa: RUF009  # frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """The facts of a model that decide how it scores."""

    num_classes: int | None  # of its classification head; None: the model has none
    prompts: Mapping[str, str]  # texts to put before an input, by name

    @property
    def reads_pairs(self) -> bool:
        """True if the model reads both texts at once (a cross-encoder). Raises RequestError if it has several
        classes.
        """
        if self.num_classes is None:
            return False
        if self.num_classes != 1:
            raise RequestError(
                f"this model sorts texts into {self.num_classes} classes; how well two texts fit is told by a model with one "
                "class, or by the vectors of one without classes. Use classify()"
            )
        return True

    @property
    def in_words(self) -> str:
        """A description for people."""
        if self.reads_pairs:
            return "a model that reads both texts"
        return "the cosine between the vectors of both texts"

    def texts(self, pairs: Sequence[tuple[str, str]]) -> list[Text]:
        """The texts to compute: one for each pair, or each different text once. `scores` takes the vectors in this
        order.
        """
        if self.reads_pairs:
            params = PoolingParams(output=CLASSES)
            return [Text(prompt=TextPair(*pair), params=params) for pair in pairs]
        params = PoolingParams(normalize=True)
        return [
            Text(prompt=text, prompt_name=self._name(names), params=params)
            for names, text in dict.fromkeys(self._sides(pairs))
        ]

    def places(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[int, ...]]:
        """For each pair, the indices in `texts` of the vectors that make its score."""
        if self.reads_pairs:
            return [(place,) for place in range(len(pairs))]
        at = {side: place for place, side in enumerate(dict.fromkeys(self._sides(pairs)))}
        return [(at[_QUERY, first], at[_DOCUMENT, second]) for first, second in pairs]

    @staticmethod
    def score(vectors: Sequence[Sequence[float]]) -> float:
        """The score of a pair from its vectors: the one score, or the cosine of vectors of length one."""
        if len(vectors) == 1:
            return vectors[0][0]
        first, second = vectors
        return float(sum(map(mul, first, second)))

    def _sides(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[tuple[str, ...], str]]:
        return [side for first, second in pairs for side in ((_QUERY, first), (_DOCUMENT, second))]

    def _name(self, names: Sequence[str]) -> str | None:
        return next((name for name in names if name in self.prompts), None)


def pairs_of(first: str | Sequence[str], second: str | Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of two lists of equal length, or of one text and a list. Raises RequestError."""
    firsts = [first] if isinstance(first, str) else list(first)
    seconds = [second] if isinstance(second, str) else list(second)
    for text in (*firsts, *seconds):
        if not isinstance(text, str) or not text:
            raise RequestError(
                f"texts that are scored must be strings that are not empty, got {text!r}"
            )
    if len(firsts) == 1:
        firsts *= len(seconds)
    if len(firsts) != len(seconds):
        raise RequestError(
            f"{len(firsts)} texts are to be scored with {len(seconds)}; give one and a list, or two lists of equal length"
        )
    return list(zip(firsts, seconds, strict=True))
