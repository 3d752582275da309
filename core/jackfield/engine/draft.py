"""From settings to decisions, in order; as far as they go where something stands in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.config import EngineConfig, LoadedConfig
from jackfield.discovery.kinds import (
    EXECUTORS,
    MODEL_SOURCES,
    MODELS,
    PLATFORMS,
    SCHEDULERS,
    WEIGHT_FORMATS,
)
from jackfield.discovery.loading import calling, describe, fix_for, returned
from jackfield.discovery.local import LOCAL
from jackfield.discovery.lock import Lock, LockedModel, check_files, locked_model
from jackfield.discovery.lock_file import read_lock
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.stdout import prints_to_stderr
from jackfield.engine.model_choice import ModelDraft, choose_model
from jackfield.engine.planner import Planner, Problem
from jackfield.errors import ConfigError, JackfieldError, PluginLoadError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.executor import ExecutorNeed
from jackfield.interfaces.platform import ChoicePoint, Platform, PlatformNeed
from jackfield.model_spec import ModelSpec

logger = logging.getLogger(__name__)

_NEEDED = (MODEL_SOURCES, WEIGHT_FORMATS, MODELS, PLATFORMS, EXECUTORS, SCHEDULERS)
ENGINE = "engine"  # the subject of what an engine has one of


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that was decided, and what stands in the way of the rest."""

    loaded: LoadedConfig  # with all that was settled
    registry: PluginRegistry
    model: ModelDraft
    activation: ActivationPlan
    facts: Facts  # of the platform; none where none was chosen
    idle_rules: tuple[str, ...] = ()  # of [select], which decided nothing, a sentence each
    problems: tuple[Problem, ...] = ()


def make_draft(
    loaded: LoadedConfig,
    registry: PluginRegistry | None = None,
    *,
    thorough: bool = False,
    keeps_going: bool = False,
) -> Draft:
    """Decide everything. Raises at the first problem, unless it `keeps_going` and lists them."""
    registry = registry or PluginRegistry.scan(loaded.config.plugins)
    planner = Planner(registry, loaded, thorough=thorough, keeps_going=keeps_going)
    try:
        with prints_to_stderr():
            return _decide(planner, loaded)
    except JackfieldError as error:
        error.decisions = planner.decisions
        raise
    finally:
        registry.end_trials()


def _decide(planner: Planner, loaded: LoadedConfig) -> Draft:
    registry, config = planner.registry, loaded.config
    lock = planner.attempt(lambda: _lock(config, registry))
    planner.attempt(lambda: registry.check_left(*_NEEDED))
    for idle in (problem for problem in registry.problems if problem.code == "deny"):
        logger.warning("%s", idle)
    planner.attempt(lambda: registry.check_required(config.plugins.required))
    model = choose_model(planner, config)
    plugin: PluginRef | None = None
    facts: Facts = {}
    if (spec := model.spec) is None:
        planner.leave_open(PLATFORMS, ENGINE, "the model")
    else:
        plugin = planner.attempt(lambda: _choose_platform(planner, spec, config))
        if plugin is not None:
            facts = registry.facts(plugin)
            loaded = _settled(planner, plugin, spec, loaded)
    _choose_core(planner, plugin, loaded.config)
    if spec is not None and plugin is not None:
        _choose_rest(planner, plugin, spec, loaded)
    planner.attempt(planner.check_hooks)
    activation = planner.activation()
    if lock and model.files and not planner.problems:
        locked = partial(locked_model, config.model, model.files, activation)
        planner.attempt(lambda: _check_selected(lock, locked, activation, config))
    return Draft(
        loaded=loaded,
        registry=registry,
        model=model,
        activation=activation,
        facts=facts,
        idle_rules=() if planner.problems else planner.idle_rules(),  # else not all was asked
        problems=tuple(planner.problems),
    )


def _lock(config: EngineConfig, registry: PluginRegistry) -> Lock | None:
    """The lock that the settings name, if what is installed is what it says."""
    if config.plugins.lock is None:
        return None
    file = Path(config.plugins.lock)
    lock = read_lock(file)
    lock.check_plugins(registry.all, file)
    return lock


def _check_selected(
    lock: Lock,
    locked_in: Callable[[Path], LockedModel],
    activation: ActivationPlan,
    config: EngineConfig,
) -> None:
    """Raise PluginDrift where the selections are not the locked ones, or files of their distributions were altered."""
    file = Path(config.plugins.lock or "")
    lock.check_model(locked_in(file.parent), file)
    chosen = {selection.plugin.distribution for selection in activation.selections}
    check_files(chosen - {LOCAL})


def _choose_platform(planner: Planner, spec: ModelSpec, config: EngineConfig) -> PluginRef:
    num_ranks = config.executor.tensor_parallel

    def need(dtype: str) -> PlatformNeed:
        return PlatformNeed(model=spec, dtype=dtype, num_ranks=num_ranks)

    def tailor(ref: PluginRef) -> PlatformNeed:
        wish = planner.registry.defaults(ref).get("model.dtype")
        return need(_dtype(config.model.dtype, wish, spec))

    point = ChoicePoint(
        kind=PLATFORMS,
        setting="platform",
        subject=ENGINE,
        need=need(spec.dtype.name),
        preference=() if _is_named(planner) else _platforms_by_precedence(planner.registry),
    )
    return planner.choose(point, preferred_by="the core (devices before the host)", tailor=tailor)


def _is_named(planner: Planner) -> bool:
    """True where the user decides, so that no other card need be imported."""
    try:
        return planner.rules.word("platform") is not None
    except JackfieldError:
        return True  # the selection says so


def _platforms_by_precedence(registry: PluginRegistry) -> tuple[str, ...]:
    found: list[tuple[float, str]] = []
    for ref in registry.refs(PLATFORMS):
        try:
            found.append((-registry.card(ref).precedence, ref.name))
        except PluginLoadError:
            continue  # the selection lists it as failed
    return tuple(name for _, name in sorted(found))


def _settled(
    planner: Planner, plugin: PluginRef, spec: ModelSpec, loaded: LoadedConfig
) -> LoadedConfig:
    """The settings with the platform's defaults, and nothing left to "auto"."""
    settled = planner.attempt(
        lambda: loaded.with_platform_defaults(plugin.name, planner.registry.defaults(plugin))
    )
    resolved = _resolved(settled or loaded, spec)
    planner.attempt(lambda: _check_length(resolved, spec))
    return resolved


def _choose_core(planner: Planner, platform: PluginRef | None, config: EngineConfig) -> None:
    """Select what every engine has, whatever the platform."""
    if platform is None:
        planner.leave_open(EXECUTORS, ENGINE, "the platform")
    else:
        need = ExecutorNeed(num_ranks=config.executor.tensor_parallel, platform=platform.name)
        executor = ChoicePoint(
            kind=EXECUTORS,
            setting="executor",
            subject=ENGINE,
            need=need,
            preference=("inline", "multiprocess"),
        )
        planner.attempt(lambda: planner.choose(executor))
    policy = ChoicePoint(
        kind=SCHEDULERS, setting="scheduler", subject=ENGINE, need=None, preference=("fcfs",)
    )
    planner.attempt(lambda: planner.choose(policy))


def _choose_rest(
    planner: Planner, plugin: PluginRef, spec: ModelSpec, loaded: LoadedConfig
) -> None:
    """Select what the platform asks for. Words in [select] that then nobody has read mean nothing."""
    registry, required = planner.registry, loaded.config.plugins.required
    registry.serve_platform(plugin)
    planner.attempt(registry.check_local)
    planner.attempt(lambda: registry.check_required(required))  # now those of the runtime, too
    points = planner.attempt(lambda: _points(planner, plugin, spec, loaded.config))
    if points is None:
        return

    def choose(point: ChoicePoint) -> PluginRef:
        return planner.choose(point, preferred_by=f"platform {plugin.name}")

    for point in points:
        planner.attempt(partial(choose, point))
    planner.attempt(lambda: planner.check_all_read(loaded))


def _points(
    planner: Planner, plugin: PluginRef, spec: ModelSpec, config: EngineConfig
) -> tuple[ChoicePoint, ...]:
    platform: Platform = planner.registry.card(plugin)
    facts = MappingProxyType(planner.registry.facts(plugin))
    before = repr(config)
    with calling(plugin, "get the choices of"):
        points = returned(platform.choices(spec, config, facts), tuple, "choices")
        for point in points:
            returned(point, ChoicePoint, "each of choices")
    if repr(config) != before:
        raise PluginLoadError(
            f"{describe(plugin)} changed the settings of the engine while it was asked for its choices. "
            f"A platform returns defaults instead. {fix_for(plugin)}"
        )
    return tuple(points)


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
    return loaded


def _check_length(loaded: LoadedConfig, spec: ModelSpec) -> None:
    length = loaded.config.model.max_length
    if length is not None and length > spec.max_length and not _can_extend(spec):
        raise ConfigError(
            f"model.max_length is {length} ({loaded.provenance['model.max_length']}), "
            f"but the model was made for {spec.max_length} tokens; give at most that many"
        )


def _can_extend(spec: ModelSpec) -> bool:
    """True where the rotary frequencies adapt to the configured length."""
    ropes = (layer.mixer.rope for layer in spec.layers)
    return any(rope and rope.scaling and rope.scaling.kind == "dynamic" for rope in ropes)


def _dtype(setting: str, platform_default: object, spec: ModelSpec) -> str:
    if setting != "auto":
        return setting
    return str(platform_default) if platform_default not in (None, "auto") else spec.dtype.name
