"""How a model pools vectors, which scores it gives, and how both are described in words."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial

from jackfield.engine.prompt import Prompt
from jackfield.engine.scoring import Scoring
from jackfield.errors import RequestError
from jackfield.features import features_in_use
from jackfield.model_spec import ModelSpec
from jackfield.pooling import CLASSES, LAST, MEAN, Classifier, Pooling, PoolingParams

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Vectors:
    """Facts of one model by which requests for vectors and scores are checked."""

    pooling: Pooling = field(default_factory=partial(Pooling, kind=LAST))
    classifier: Classifier | None = None
    size: int = 1  # elements of a vector
    # True: the user was told that the model's files do not say whether vectors may be cut.
    is_told_of_cuts: bool = False
    # False: the user was not yet told that the model's files do not say how to pool.
    is_told: bool = True

    @classmethod
    def of(cls, spec: ModelSpec) -> Vectors:
        """Make them from a spec. If the files say nothing, an encoder takes the mean of all tokens, a decoder the
        last token.
        """
        pooling = spec.pooling or default_pooling(spec)
        size = pooling.dense[-1].out_size if pooling.dense else spec.hidden_size
        return cls(
            pooling=pooling,
            classifier=spec.classifier,
            size=size,
            is_told=spec.pooling is not None,
        )

    @property
    def scoring(self) -> Scoring:
        """How the model scores how well two texts fit."""
        return Scoring(
            num_classes=self.classifier.num_classes if self.classifier else None,
            prompts=self.pooling.prompts or {},
        )

    def completed(self, asked: PoolingParams) -> PoolingParams:
        """These parameters, with the model's own pooling for fields left open. Raises RequestError."""
        if not isinstance(asked, PoolingParams):
            raise RequestError(
                f"pooling parameters must be PoolingParams, got {type(asked).__name__}"
            )
        if asked.token_ids:
            return asked.completed(Pooling(kind=LAST, normalize=False))
        if asked.output == CLASSES:
            if self.classifier is None:
                raise RequestError(
                    "this model has no classification head, so there are no scores of classes; "
                    "embed() gives its vectors"
                )
            return asked.completed(Pooling(kind=self.classifier.pooling, normalize=False))
        self._check_dimensions(asked.dimensions)
        if asked.kind is None and not self.is_told:
            self.is_told = True
            logger.warning(
                "the model's files do not say how vectors are made: %s. PoolingParams(kind=...) chooses",
                self.pooling.in_words(),
            )
        return asked.completed(self.pooling)

    def features(self, completed: PoolingParams) -> frozenset[str]:
        """Features that a platform must declare to serve such a request."""
        dense = features_in_use(self.pooling) if completed.output != CLASSES else frozenset()
        return frozenset({"request.pooling"}) | features_in_use(completed) | dense

    def in_words(self, completed: PoolingParams) -> str:
        """How such a vector is made, and where that is stated."""
        if completed.token_ids:
            return "probabilities of tokens that may come next"
        if completed.output == CLASSES:
            return "the classification head"
        own = self.pooling
        asked = Pooling(
            kind=completed.kind or own.kind, normalize=bool(completed.normalize), dense=own.dense
        )
        same = (asked.kind, asked.normalize) == (own.kind, own.normalize)
        cut = f", the first {completed.dimensions} elements" if completed.dimensions else ""
        return f"{asked.in_words()}{cut} ({own.source if same else 'the request'})"

    def with_prompt(self, prompt: Prompt, name: str | None) -> Prompt:
        """`prompt` behind the text that the model's authors want before it. Raises RequestError for an unknown name."""
        prompts = self.pooling.prompts or {}
        if name is None and isinstance(prompt, str):
            name = self.pooling.default_prompt
        if name is None:
            return prompt
        if name not in prompts:
            known = ", ".join(map(repr, prompts)) or "none"
            raise RequestError(f"no prompt is called {name!r}; this model's files have {known}")
        if not isinstance(prompt, str):
            raise RequestError(f"the prompt {name!r} stands before a text; give the text")
        return prompts[name] + prompt

    def _check_dimensions(self, wanted: int | None) -> None:
        allowed = self.pooling.dimensions
        if wanted is None or wanted == self.size:
            return
        if wanted > self.size or (allowed and wanted not in allowed):
            cuts = f", and may be cut to {', '.join(map(str, allowed))}" if allowed else ""
            raise RequestError(
                f"dimensions={wanted}: this model's vectors have {self.size} elements{cuts}"
            )
        if allowed is None and not self.is_told_of_cuts:
            self.is_told_of_cuts = True
            logger.warning(
                "vectors are cut to %d of %d elements; the model's files do not say that it was trained for that "
                "(is_matryoshka, or matryoshka_dimensions, in config.json)",
                wanted,
                self.size,
            )


def default_pooling(spec: ModelSpec) -> Pooling:
    """Pooling for a model whose files do not say how to pool."""
    is_encoder = not spec.has_head and any(
        attention is not None and not attention.causal
        for attention in (layer.mixer.attention for layer in spec.layers)
    )
    source = "the default, since the model's files do not say"
    return Pooling(kind=MEAN if is_encoder else LAST, source=source)
