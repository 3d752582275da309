"""The blueprint of an engine: everything decided before anything heavy is imported or loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.config import EngineConfig, LoadedConfig, Source
from jackfield.decision import Decision
from jackfield.discovery.kinds import (
    EXECUTORS,
    HOOKS,
    MODEL_SOURCES,
    MODELS,
    PLATFORMS,
    SCHEDULERS,
    TOKENIZERS,
    WEIGHT_FORMATS,
)
from jackfield.discovery.loading import describe, fix_for
from jackfield.discovery.local import LOCAL
from jackfield.discovery.lock import Lock, LockedModel, check_files, locked_model
from jackfield.discovery.lock_file import read_lock
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.model_choice import ModelChoice, choose_model
from jackfield.engine.planner import Planner
from jackfield.errors import ConfigError, ModelError, PluginLoadError
from jackfield.interfaces.card import Card, Facts
from jackfield.interfaces.executor import Executor, ExecutorFactory, ExecutorNeed
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.platform import ChoicePoint, Platform, PlatformNeed
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat
from jackfield.interfaces.weights import Checkpoint, WeightFormat
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import ModelSpec

logger = logging.getLogger(__name__)

_NEEDED = (MODEL_SOURCES, WEIGHT_FORMATS, MODELS, PLATFORMS, EXECUTORS, SCHEDULERS)
ENGINE = "engine"  # the subject of what an engine has one of


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What an engine is made of. The config is the effective one: nothing in it says "auto" any more."""

    loaded: LoadedConfig
    registry: PluginRegistry
    model: ModelChoice
    activation: ActivationPlan
    facts: Facts  # of the platform
    idle_rules: tuple[str, ...] = ()  # of [select], which decided nothing, a sentence each

    @property
    def config(self) -> EngineConfig:
        """The effective settings."""
        return self.loaded.config

    @property
    def provenance(self) -> Mapping[str, Source]:
        """Where each setting came from, by "section.key"."""
        return self.loaded.provenance

    @property
    def files(self) -> ModelFiles:
        """The model on this machine."""
        return self.model.files

    @property
    def spec(self) -> ModelSpec:
        """The model as data."""
        return self.model.spec

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every selection with its reasons, in the order in which they were made."""
        return self.activation.decisions

    @property
    def has_tokenizer(self) -> bool:
        """False where the model's files hold none; prompts are token ids then."""
        return not self.model.missing_tokenizer

    @property
    def platform(self) -> Platform:
        """The card of the platform."""
        card: Platform = self._card(PLATFORMS)
        return card

    @property
    def platform_in_words(self) -> str:
        """For messages."""
        return describe(self.activation.selected(PLATFORMS))

    @property
    def hooks(self) -> tuple[PluginRef, ...]:
        """The observers to register; `registry.card(ref)` makes one."""
        return tuple(s.plugin for s in self.activation.selections if s.plugin.kind == HOOKS)

    def context(self) -> WorkerContext:
        """What workers are made from; the executor fills in rank and rendezvous."""
        return WorkerContext(
            activation=self.activation,
            config=self.config,
            spec=self.spec,
            files=self.files,
            num_ranks=self.config.executor.tensor_parallel,
        )

    def locked_in(self, folder: Path) -> LockedModel:
        """The selections for the model, as a lock in `folder` holds them."""
        return locked_model(self.config.model, self.files, self.activation, folder)

    def make_executor(self) -> Executor:
        """The executor, not started."""
        factory: ExecutorFactory = self._card(EXECUTORS)
        return factory.create(self.context())

    def make_policy(self) -> SchedulingPolicy:
        """The scheduling policy."""
        policy: SchedulingPolicy = self._card(SCHEDULERS)
        return policy

    def open_tokenizer(self) -> Tokenizer:
        """The tokenizer. Raises ModelError where there is none."""
        if not self.has_tokenizer:
            files = self.model.tokenizer_files
            raise ModelError(
                f"no tokenizer was found in {files.path}: {self.model.missing_tokenizer}\n"
                "Give prompts as token ids, or name another model's tokenizer with model.tokenizer"
            )
        tokenizer_format: TokenizerFormat = self._card(TOKENIZERS)
        return tokenizer_format.open(self.model.tokenizer_files)

    def open_checkpoint(self) -> Checkpoint:
        """The weights' names and shapes; the caller closes it."""
        weight_format: WeightFormat = self._card(WEIGHT_FORMATS)
        return weight_format.open(self.files)

    def _card(self, kind: str) -> Any:
        return self.registry.card(self.activation.selected(kind))


def make_blueprint(
    loaded: LoadedConfig, registry: PluginRegistry | None = None, *, thorough: bool = False
) -> Blueprint:
    """Decide everything. `thorough` also asks the candidates that come after the chosen one (for `explain`).

    Raises ConfigError, PluginError or ModelError; a plugin that the user named, or that is required, must load.
    With a lock (plugins.lock) raises PluginDrift where anything is not as locked.
    """
    registry = registry or PluginRegistry.scan(loaded.config.plugins)
    try:
        return _decide(loaded, registry, thorough)
    finally:
        registry.end_trials()


def _decide(loaded: LoadedConfig, registry: PluginRegistry, thorough: bool) -> Blueprint:
    lock = _lock(loaded.config, registry)
    registry.check_left(*_NEEDED)
    for idle in (problem for problem in registry.problems if problem.code == "deny"):
        logger.warning("%s", idle)
    registry.check_required(loaded.config.plugins.required)
    planner = Planner(registry, loaded, thorough=thorough)
    model = choose_model(planner, loaded.config)
    plugin = _choose_platform(planner, model.spec, loaded.config)
    platform: Platform = registry.card(plugin)
    facts = registry.facts(plugin)
    loaded = loaded.with_platform_defaults(plugin.name, platform.defaults(facts))
    loaded = _resolved(loaded, model.spec)
    _choose_core(planner, plugin.name, loaded.config)
    registry.serve(platform.serves, platform.adapters)
    registry.check_local()
    registry.check_required(loaded.config.plugins.required)  # now those of the runtime, too
    before = repr(loaded.config)
    points = platform.choices(model.spec, loaded.config, facts)
    if repr(loaded.config) != before:
        raise PluginLoadError(
            f"{describe(plugin)} changed the settings of the engine while it was asked for its choices. "
            f"A platform returns defaults instead. {fix_for(plugin)}"
        )
    for point in points:
        planner.choose(point, preferred_by=f"platform {plugin.name}")
    planner.check_all_read(loaded)
    activation = planner.activation()
    blueprint = Blueprint(
        loaded=loaded,
        registry=registry,
        model=model,
        activation=activation,
        facts=facts,
        idle_rules=planner.idle_rules(),
    )
    if lock:
        _check_selected(lock, blueprint)
    return blueprint


def _lock(config: EngineConfig, registry: PluginRegistry) -> Lock | None:
    """The lock that the settings name, if what is installed is what it says."""
    if config.plugins.lock is None:
        return None
    file = Path(config.plugins.lock)
    lock = read_lock(file)
    lock.check_plugins(registry.all, file)
    return lock


def _check_selected(lock: Lock, blueprint: Blueprint) -> None:
    """Raise PluginDrift where the selections are not the locked ones, or files of their distributions were altered."""
    file = Path(blueprint.config.plugins.lock or "")
    lock.check_model(blueprint.locked_in(file.parent), file)
    chosen = {selection.plugin.distribution for selection in blueprint.activation.selections}
    check_files(chosen - {LOCAL})


def _choose_platform(planner: Planner, spec: ModelSpec, config: EngineConfig) -> PluginRef:
    num_ranks = config.executor.tensor_parallel

    def need(dtype: str) -> PlatformNeed:
        return PlatformNeed(model=spec, dtype=dtype, num_ranks=num_ranks)

    def tailor(card: Card, facts: Facts) -> PlatformNeed:
        assert isinstance(card, Platform)
        return need(_dtype(config.model.dtype, card.defaults(facts).get("model.dtype"), spec))

    point = ChoicePoint(
        kind=PLATFORMS,
        setting="platform",
        subject=ENGINE,
        need=need(spec.dtype.name),
        preference=_platforms_by_precedence(planner.registry),
    )
    return planner.choose(point, preferred_by="the core (devices before the host)", tailor=tailor)


def _platforms_by_precedence(registry: PluginRegistry) -> tuple[str, ...]:
    found: list[tuple[int, str]] = []
    for ref in registry.refs(PLATFORMS):
        try:
            found.append((-registry.card(ref).precedence, ref.name))
        except PluginLoadError:
            continue  # the selection lists it as failed
    return tuple(name for _, name in sorted(found))


def _choose_core(planner: Planner, platform: str, config: EngineConfig) -> None:
    """Select what every engine has, whatever the platform."""
    num_ranks = config.executor.tensor_parallel
    planner.choose(
        ChoicePoint(
            kind=EXECUTORS,
            setting="executor",
            subject=ENGINE,
            need=ExecutorNeed(num_ranks=num_ranks, platform=platform),
            preference=("inline", "multiprocess"),
        )
    )
    planner.choose(
        ChoicePoint(
            kind=SCHEDULERS, setting="scheduler", subject=ENGINE, need=None, preference=("fcfs",)
        )
    )


def _resolved(loaded: LoadedConfig, spec: ModelSpec) -> LoadedConfig:
    """The settings with "auto" and none replaced by what they come to."""
    model = loaded.config.model
    if model.dtype == "auto":
        loaded = loaded.with_derived("dtype of the checkpoint", {"model.dtype": spec.dtype.name})
    if loaded.config.cache.dtype == "auto":
        dtype = loaded.config.model.dtype
        loaded = loaded.with_derived("dtype of the model", {"cache.dtype": dtype})
    if model.max_length is None:
        return loaded.with_derived("length of the model", {"model.max_length": spec.max_length})
    if model.max_length > spec.max_length and not _can_extend(spec):
        raise ConfigError(
            f"model.max_length is {model.max_length} ({loaded.provenance['model.max_length']}), "
            f"but the model was made for {spec.max_length} tokens; give at most that many"
        )
    return loaded


def _can_extend(spec: ModelSpec) -> bool:
    """True where the rotary frequencies adapt to the configured length."""
    ropes = (layer.mixer.rope for layer in spec.layers)
    return any(rope and rope.scaling and rope.scaling.kind == "dynamic" for rope in ropes)


def _dtype(setting: str, platform_default: object, spec: ModelSpec) -> str:
    if setting != "auto":
        return setting
    return str(platform_default) if platform_default not in (None, "auto") else spec.dtype.name
