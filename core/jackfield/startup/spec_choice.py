"""Which model plugin makes the spec of a config: the one that the user named, one named after the architecture, or one
that takes any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jackfield.activation import PluginRef
from jackfield.decision import Candidate, Decision, Reason, Verdict
from jackfield.discovery.kinds import MODELS, short_name
from jackfield.discovery.loading import calling, returned
from jackfield.discovery.rules import Word
from jackfield.discovery.selection import (
    NOTHING_FITS,
    UNDECIDED,
    candidate_of,
    check_named,
    conflict_of,
    in_order,
    incompatible_of,
    not_named,
)
from jackfield.errors import (
    JackfieldError,
    PluginLoadError,
    PluginNotFound,
    UnsupportedModelError,
)
from jackfield.interfaces.model import ConfigReader, is_taking_any
from jackfield.interfaces.weights import TensorInfo
from jackfield.model_spec import Layer, ModelSpec, ModuleSource
from jackfield.startup.architecture import family
from jackfield.startup.chooser import Chooser
from jackfield.startup.nearest import nearest


@dataclass(slots=True, kw_only=True)
class _Choice:
    """The state of the decision so far."""

    chooser: Chooser
    reader: ConfigReader
    word: Word | None = None  # the user's name for the plugin
    plugin: PluginRef | None = None
    note: str = ""  # note of the chosen plugin
    # Refusals of plugins that take any.
    refusals: dict[PluginRef, str] = field(default_factory=dict)

    @property
    def architectures(self) -> tuple[str, ...]:
        return tuple(map(str, self.reader.values.get("architectures") or ()))


def build_spec(
    chooser: Chooser, reader: ConfigReader, tensors: Mapping[str, TensorInfo], reference: str
) -> ModelSpec:
    """The spec of a config. Keeps the decision. Raises UnsupportedModelError, PluginError or SelectionError."""
    choice = _Choice(chooser=chooser, reader=reader)
    try:
        spec = _choose(choice, tensors, reference)
    except JackfieldError as error:
        if choice.plugin is None:  # otherwise a plugin was chosen and could not build
            decision = error.decision = _decision(choice)
            chooser.add("model", None, decision)
        raise
    return spec


def _choose(choice: _Choice, tensors: Iterable[str], reference: str) -> ModelSpec:
    chooser, registry = choice.chooser, choice.chooser.registry
    choice.word = chooser.rules.word("model", {"architecture": choice.reader.architecture})
    check_named(registry, chooser.rules, "model", MODELS)
    plugin = registry.ref(MODELS, choice.word.name) if choice.word else _namesake(choice)
    if plugin is None:
        spec = _by_one_that_takes_any(choice)
        if spec is None:
            raise _unknown(choice, tensors, reference)
    else:
        choice.plugin = plugin
        if not is_taking_any(registry.card(plugin)):
            chooser.add("model", plugin, _decision(choice))
            return _built(choice, plugin)
        spec = _built(choice, plugin)
    choice.note = spec.foreign.note if spec.foreign else ""
    chooser.add("model", choice.plugin, _decision(choice))
    return spec


def _namesake(choice: _Choice) -> PluginRef | None:
    for name in choice.architectures:
        try:
            return choice.chooser.registry.ref(MODELS, name)
        except PluginNotFound:
            continue
    return None


def _by_one_that_takes_any(choice: _Choice) -> ModelSpec | None:
    """The spec of the first plugin, by name, that does not refuse the config."""
    registry = choice.chooser.registry
    for ref in in_order(registry.refs(MODELS), ()):
        try:
            if not is_taking_any(registry.card(ref)):
                continue
            spec = _built(choice, ref)
        except (UnsupportedModelError, PluginLoadError) as error:
            choice.refusals[ref] = str(error)
        else:
            choice.plugin = ref
            return spec
    return None


def _built(choice: _Choice, plugin: PluginRef) -> ModelSpec:
    build = choice.chooser.registry.card(plugin)
    with calling(plugin, "build a spec with"):
        spec: ModelSpec = returned(build(choice.reader), ModelSpec, plugin.target.partition(":")[2])
        _check_spec(spec)
    return spec


def _check_spec(spec: ModelSpec) -> None:
    """Raise TypeError for parts that no runtime can use, before a worker meets them."""
    if not isinstance(spec.layers, tuple) or not all(isinstance(x, Layer) for x in spec.layers):
        raise TypeError(f"ModelSpec.layers must be a tuple of Layer, got {spec.layers!r:.200}")
    for name, source in dict(spec.modules).items():
        if not isinstance(source, ModuleSource):
            raise TypeError(f"ModelSpec.modules[{name!r}] must be a ModuleSource, got {source!r}")
    for name in ("vocab_size", "hidden_size", "max_length"):
        if not isinstance(value := getattr(spec, name), int) or value < 1:
            raise TypeError(f"ModelSpec.{name} must be a number from 1, got {value!r}")


def _decision(choice: _Choice) -> Decision:
    registry, plugin = choice.chooser.registry, choice.plugin
    word, architectures = choice.word, choice.architectures
    other = Reason(
        "architecture",
        "is for another architecture than the checkpoint's",
        "name it with select.model if it reads this one too",
    )
    named = (not_named(word, "model"),) if word else ()

    def candidate(ref: PluginRef) -> Candidate:
        if ref == plugin:
            notes = (Reason("note", choice.note),) if choice.note else ()
            return candidate_of(ref, Verdict.CHOSEN, *notes)
        if ref in choice.refusals:
            return candidate_of(ref, Verdict.REFUSED, Reason("refused", choice.refusals[ref]))
        if ref.name in architectures:
            clash = () if plugin else conflict_of(ref, refs, "model")
            return candidate_of(ref, Verdict.ACCEPTED, *named, *clash)
        return candidate_of(ref, Verdict.REFUSED, *named, other)

    refs = in_order(registry.refs(MODELS), (plugin.name,) if plugin else architectures)
    return Decision(
        kind=short_name(MODELS),
        subject="model",
        chosen=plugin.name if plugin else None,
        decided_by=word.where if word else _decided_by(choice, refs),
        candidates=(*map(candidate, refs), *incompatible_of(registry, MODELS)),
        match={"architecture": architectures[0] if architectures else None},
    )


def _decided_by(choice: _Choice, refs: Iterable[PluginRef]) -> str:
    if choice.plugin is None:
        is_known = any(ref.name in choice.architectures for ref in refs)
        return UNDECIDED if is_known else NOTHING_FITS
    if choice.plugin.name in choice.architectures:
        return "architectures of the checkpoint"
    names = " or ".join(choice.architectures)
    return f"no plugin has a spec of {names}, and this one takes any architecture"


def _unknown(choice: _Choice, tensors: Iterable[str], reference: str) -> UnsupportedModelError:
    """The error for an architecture that no plugin takes, with what to do."""
    registry, architectures = choice.chooser.registry, choice.architectures
    known = sorted({ref.name for ref in registry.refs(MODELS)})
    near = nearest(registry, choice.reader.values, tensors)
    there = f"{near}" if near else f"Installed: {', '.join(known) or 'none'}"
    tried = "".join(f"{ref.name}: {text}. " for ref, text in choice.refusals.items())
    return UnsupportedModelError(
        f"no plugin for the architecture {' or '.join(map(repr, architectures))} of {reference!r}. {tried}{there}. "
        + _way_out(architectures[0], known)
        + (f", or say select.model={near.architecture} if it computes the same" if near else "")
    )


def _way_out(architecture: str, known: list[str]) -> str:
    """What to do about an architecture that no plugin has. Installing an installed distribution would not help."""
    write = f"jackfield new model {architecture}"
    name = family(architecture)
    if any(family(other) == name for other in known):
        return (
            f"Its family is installed, but what is served is text by a language model; to serve another kind write a "
            f"plugin: {write}"
        )
    return f"Try: pip install jackfield-{name}, or write one, which is short: {write}"
