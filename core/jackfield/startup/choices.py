"""The selections of a start-up beside those of the model, a function for each. `blueprint` has their order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType

from jackfield.activation import PluginRef
from jackfield.config import EngineConfig, LoadedConfig
from jackfield.discovery.kinds import (
    EXECUTORS,
    MODEL_SOURCES,
    MODELS,
    PLATFORMS,
    SCHEDULERS,
    SPECULATORS,
    STRUCTURED_OUTPUT,
    WEIGHT_FORMATS,
)
from jackfield.discovery.loading import calling, returned
from jackfield.discovery.lock import Lock, LockedModel
from jackfield.discovery.lock_file import read_lock
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import ConfigError, JackfieldError, PluginLoadError, SelectionError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.executor import ExecutorNeed
from jackfield.interfaces.platform import ChoicePoint, Platform, PlatformNeed, RankShape
from jackfield.interfaces.speculator import SpeculatorNeed
from jackfield.interfaces.structured_output import StructuredOutputNeed
from jackfield.model_spec import ModelSpec
from jackfield.startup.chooser import Chooser

NEEDED = (MODEL_SOURCES, WEIGHT_FORMATS, MODELS, PLATFORMS, EXECUTORS, SCHEDULERS)
ENGINE = "engine"  # subject of selections that concern the whole engine


def read_lock_of(config: EngineConfig, registry: PluginRegistry) -> Lock | None:
    """The lock that the settings name. Raises PluginDrift if the installed plugins differ from it."""
    if config.plugins.lock is None:
        return None
    file = Path(config.plugins.lock)
    lock = read_lock(file)
    lock.check_plugins(registry.all, file)
    return lock


def check_selected(
    lock: Lock, locked_in: Callable[[Path], LockedModel], config: EngineConfig
) -> None:
    """Raise PluginDrift if the selections differ from the lock."""
    file = Path(config.plugins.lock or "")
    lock.check_model(locked_in(file.parent), file)


def choose_platform(chooser: Chooser, spec: ModelSpec, config: EngineConfig) -> PluginRef:
    """Choose the platform. Devices are asked before the host, each with the dtype that it would choose itself."""
    executor = config.executor

    def need(dtype: str) -> PlatformNeed:
        return PlatformNeed(
            model=spec,
            dtype=dtype,
            num_ranks=executor.tensor_parallel,
            num_stages=executor.pipeline_parallel,
            num_drafts=config.speculation.num_tokens,
            num_adapters=len(config.adapters),
        )

    def tailor(ref: PluginRef) -> PlatformNeed:
        wish = chooser.registry.defaults(ref).get("model.dtype")
        return need(_dtype(config.model.dtype, wish, spec))

    point = ChoicePoint(
        kind=PLATFORMS,
        setting="platform",
        subject=ENGINE,
        need=need(spec.dtype.name),
        preference=() if _is_named(chooser) else _platforms_by_precedence(chooser.registry),
    )
    return chooser.choose(point, preferred_by="the core (devices before the host)", tailor=tailor)


def _is_named(chooser: Chooser) -> bool:
    """True if the user names the platform, so that no other card must be imported."""
    try:
        return chooser.rules.word("platform") is not None
    except JackfieldError:
        return True  # the selection raises this error again


def _platforms_by_precedence(registry: PluginRegistry) -> tuple[str, ...]:
    found: list[tuple[float, str]] = []
    for ref in registry.refs(PLATFORMS):
        try:
            found.append((-registry.card(ref).precedence, ref.name))
        except PluginLoadError:
            continue  # the selection lists it as failed
    return tuple(name for _, name in sorted(found))


def settled(
    chooser: Chooser, plugin: PluginRef, spec: ModelSpec, loaded: LoadedConfig
) -> LoadedConfig:
    """The settings with the platform's defaults; no value is "auto" any more."""
    settled = chooser.attempt(
        lambda: loaded.with_platform_defaults(plugin.name, chooser.registry.defaults(plugin))
    )
    resolved = _resolved(settled or loaded, spec)
    chooser.attempt(lambda: _check_length(resolved, spec))
    return resolved


def choose_core(
    chooser: Chooser, platform: PluginRef | None, facts: Facts, config: EngineConfig
) -> None:
    """Select the plugins that every engine has, whatever the platform."""
    if platform is None:
        chooser.leave_open(EXECUTORS, ENGINE, "the platform")
    else:
        chooser.attempt(lambda: _choose_executor(chooser, platform, facts, config))
    policy = ChoicePoint(
        kind=SCHEDULERS, setting="scheduler", subject=ENGINE, need=None, preference=("fcfs",)
    )
    chooser.attempt(lambda: chooser.choose(policy))
    chooser.attempt(lambda: _choose_speculator(chooser, config))
    chooser.attempt(lambda: _choose_forms(chooser, config))


def _choose_forms(chooser: Chooser, config: EngineConfig) -> None:
    """Select a plugin for each form of structured output. An engine starts without a form, as it may not be needed.

    Raises SelectionError if the settings name a plugin and none serves any form.
    """
    errors: list[SelectionError] = []
    forms = _forms(chooser.registry)
    for form in forms:
        point = ChoicePoint(
            kind=STRUCTURED_OUTPUT,
            setting="structured_output",
            subject=form,
            need=StructuredOutputNeed(form=form),
            match={"form": form},
        )
        try:
            chooser.choose(point)
        except SelectionError as error:
            errors.append(error)
    if errors and len(errors) == len(forms) and config.select.get("structured_output") is not None:
        raise errors[0]


def _forms(registry: PluginRegistry) -> list[str]:
    """All forms of structured output that some installed plugin compiles."""
    found: set[str] = set()
    for ref in registry.refs(STRUCTURED_OUTPUT):
        try:
            found |= registry.card(ref).forms
        except PluginLoadError:
            continue  # the selections list it as failed
    return sorted(found)


def _choose_speculator(chooser: Chooser, config: EngineConfig) -> None:
    num_tokens = config.speculation.num_tokens
    if num_tokens:
        point = ChoicePoint(
            kind=SPECULATORS,
            setting="speculator",
            subject=ENGINE,
            need=SpeculatorNeed(num_tokens=num_tokens),
            preference=("ngram",),
        )
        chooser.choose(point)
    elif (word := chooser.rules.word("speculator")) is not None:
        raise ConfigError(
            f"{word.where} names the speculator {word.name}, but speculation.num_tokens is 0, so nobody guesses. "
            "Set it to the guesses for a row in a step, such as 4"
        )


def _choose_executor(
    chooser: Chooser, platform: PluginRef, facts: Facts, config: EngineConfig
) -> None:
    card: Platform = chooser.registry.card(platform)
    shape = rank_shape(platform, card, facts, config)
    need = ExecutorNeed(
        num_ranks=shape.processes * config.executor.pipeline_parallel,
        devices=shape.devices,
        resource=shape.resource,
        platform=platform.name,
    )
    point = ChoicePoint(
        kind=EXECUTORS,
        setting="executor",
        subject=ENGINE,
        need=need,
        preference=("inline", "multiprocess"),
    )
    chooser.choose(point)


def rank_shape(
    plugin: PluginRef, platform: Platform, facts: Facts, config: EngineConfig
) -> RankShape:
    """How the platform realises executor.tensor_parallel. Raises PluginLoadError."""
    with calling(plugin, "get the rank shape of"):
        shape: RankShape = returned(
            platform.rank_shape(config.executor.tensor_parallel, MappingProxyType(dict(facts))),
            RankShape,
            "rank_shape",
        )
    return shape


def choose_rest(chooser: Chooser, plugin: PluginRef, spec: ModelSpec, loaded: LoadedConfig) -> None:
    """Select what the platform asks for. Then report names in [select] that no selection has read."""
    registry, required = chooser.registry, loaded.config.plugins.required
    registry.serve_platform(plugin)
    chooser.attempt(registry.check_local)
    # Now including plugins of the runtime.
    chooser.attempt(lambda: registry.check_required(required))
    points = chooser.attempt(lambda: _points(chooser, plugin, spec, loaded.config))
    if points is None:
        return

    def choose(point: ChoicePoint) -> PluginRef:
        return chooser.choose(point, preferred_by=f"platform {plugin.name}")

    for point in points:
        chooser.attempt(partial(choose, point))
    chooser.attempt(lambda: _check_adapters(registry.card(plugin), plugin, loaded.config))
    if kind := registry.card(plugin).logits_processors:
        chooser.attempt(lambda: chooser.offer(kind))
    chooser.attempt(lambda: chooser.check_all_read(loaded))


def _check_adapters(platform: Platform, plugin: PluginRef, config: EngineConfig) -> None:
    """Raise ConfigError for adapters that no plugin of this platform would read."""
    if config.adapters and not platform.adapters:
        raise ConfigError(
            f"adapters are named ({', '.join(config.adapters)}), but the platform {plugin.name} takes none. "
            "Leave them out, or select another platform"
        )


def _points(
    chooser: Chooser, plugin: PluginRef, spec: ModelSpec, config: EngineConfig
) -> tuple[ChoicePoint, ...]:
    platform: Platform = chooser.registry.card(plugin)
    facts = MappingProxyType(chooser.registry.facts(plugin))
    with calling(plugin, "get the choices of"):
        points = returned(platform.choices(spec, config, facts), tuple, "choices")
        for point in points:
            returned(point, ChoicePoint, "each of choices")
    return tuple(points)


def _resolved(loaded: LoadedConfig, spec: ModelSpec) -> LoadedConfig:
    """The settings with "auto" and none replaced by definite values."""
    model = loaded.config.model
    if model.dtype == "auto":
        loaded = loaded.with_derived("dtype of the checkpoint", {"model.dtype": spec.dtype.name})
    if loaded.config.cache.dtype == "auto":
        calibrated = spec.quantization and spec.quantization.cache_dtype
        name = calibrated.name if calibrated else loaded.config.model.dtype
        origin = "quantization_config of the checkpoint" if calibrated else "dtype of the model"
        loaded = loaded.with_derived(origin, {"cache.dtype": name})
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
    """True if the rotary frequencies adapt to the configured length."""
    ropes = (layer.mixer.rope for layer in spec.layers)
    return any(rope and rope.scaling and rope.scaling.kind == "dynamic" for rope in ropes)


def _dtype(setting: str, platform_default: object, spec: ModelSpec) -> str:
    if setting != "auto":
        return setting
    return str(platform_default) if platform_default not in (None, "auto") else spec.dtype.name
