"""The plugins that this process may use, by kind and name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from jackfield.activation import PluginRef
from jackfield.config.schema import PluginSettings, Scalar
from jackfield.config.settings import did_you_mean
from jackfield.decision import Reason
from jackfield.discovery.failure import (
    PluginFailure,
    check_conflict,
    conflict,
    incompatibility,
    owned_twice,
)
from jackfield.discovery.filters import PluginFilter, is_named, owned_elsewhere
from jackfield.discovery.kinds import CORE_KINDS, PLATFORMS, Kind, full_name, runtime_kind
from jackfield.discovery.loading import FAULTS, calling, fault_of, load_error, load_target
from jackfield.discovery.local import LOCAL, check_local, parse_local
from jackfield.discovery.probe import Prober, plain_facts
from jackfield.discovery.scan import Scan, normalise, scan_installed
from jackfield.discovery.stdout import prints_to_stderr
from jackfield.errors import ConfigError, PluginIncompatible, PluginLoadError, PluginNotFound
from jackfield.interfaces.card import Card, Facts, has_probe

Probe = Callable[[PluginRef, Card], Facts]
"""Finds the facts of a plugin: by its own probe, or from a profile of another machine."""


def probe_here(ref: PluginRef, card: Card) -> Facts:
    """Probe the card on this machine."""
    return card.probe()


class PluginRegistry:
    """The installed and allowed plugins. Cards and facts are made when they are first needed, and kept."""

    def __init__(
        self,
        plugins: Iterable[PluginRef],
        failures: Iterable[PluginFailure] = (),
        left_out: Iterable[PluginRef] = (),
        probe: Probe | None = None,
        prober: Prober | None = None,
    ) -> None:
        self.all = tuple(sorted(plugins, key=lambda r: (r.kind, r.name, r.distribution, r.major)))
        self.left_out = tuple(left_out)  # installed, but not allowed by the settings
        self._prober = prober  # None: plugins are imported and probed in this process
        self._probe = probe or (prober.probe if prober else probe_here)
        self._kinds: dict[str, Kind] = dict(CORE_KINDS)
        self._scan_failures = tuple(failures)
        self._cards: dict[PluginRef, Any] = {}
        self._facts: dict[PluginRef, Facts] = {}
        self._failed: dict[tuple[str, PluginRef], tuple[PluginLoadError, PluginFailure]] = {}

    @classmethod
    def scan(
        cls,
        settings: PluginSettings | None = None,
        served: Mapping[str, tuple[int, ...]] | None = None,
        probe: Probe | None = None,
    ) -> PluginRegistry:
        """The installed plugins that `settings` allow, and the local ones. Raises PluginNotFound for unknown names.

        With plugins.probe = "process", each plugin is tried in a subprocess before it is loaded into this process.
        """
        settings = settings or PluginSettings()
        found: Scan = scan_installed()
        local = tuple(parse_local(text) for text in settings.local)
        check_local(local, found.plugins)
        plugins = (*found.plugins, *local)
        plugin_filter = PluginFilter(settings, found)
        allowed = plugin_filter.allowed(plugins)
        failures = (*found.failures, *plugin_filter.idle(plugins))
        left_out = [ref for ref in plugins if ref not in allowed]
        limits = (settings.import_timeout_s, settings.probe_timeout_s)
        prober = Prober(*limits) if settings.probe == "process" else None
        registry = cls(allowed, failures, left_out, probe, prober)
        registry.serve(served or {})
        return registry

    def serve(
        self, served: Mapping[str, tuple[int, ...]], bases: Mapping[str, type] | None = None
    ) -> None:
        """Also serve the kinds of a runtime, given by their contract majors and base classes.

        Kinds of the core among them are ignored.
        """
        for name, majors in served.items():
            if name in CORE_KINDS:
                continue
            known = self._kinds.get(name)
            self._kinds[name] = runtime_kind(
                name,
                (*(known.majors if known else ()), *majors),
                (bases or {}).get(name) or (known.extends if known else None),
            )

    def serve_platform(self, ref: PluginRef) -> None:
        """Serve the kinds of a platform's runtime. Raises PluginLoadError."""
        platform = self.card(ref)
        self.serve(platform.serves, platform.bases)

    def serve_all(self) -> None:
        """Serve the kinds of every platform that loads, to list everything installed."""
        for ref in self.refs(PLATFORMS):
            try:
                self.serve_platform(ref)
            except PluginLoadError:
                continue  # it is listed among the problems

    def kind(self, name: str) -> Kind:
        """The kind with that name. Raises PluginNotFound if nothing serves it."""
        found = self._kinds.get(full_name(name))
        if found is None:
            raise PluginNotFound(
                f"no kind of plugin {name!r}{did_you_mean(full_name(name), self._kinds)} "
                f"Kinds: {', '.join(self._kinds)}"
            )
        return found

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All kinds that are served or reserved."""
        return tuple(self._kinds.values())

    def refs(self, kind: str) -> tuple[PluginRef, ...]:
        """Plugins of a kind with a served major, by name. If a plugin has several, the highest major counts."""
        served = self.kind(kind)
        best: dict[tuple[str, str], PluginRef] = {}
        for ref in self.all:
            if ref.kind == served.name and ref.major in served.majors:
                best[ref.name, ref.distribution] = ref  # majors ascend
        return tuple(best.values())

    def incompatible(self, kind: str) -> tuple[PluginRef, ...]:
        """Plugins of a kind without a served major. They are listed, but never imported."""
        served = self.kind(kind)
        usable = {(ref.name, ref.distribution) for ref in self.refs(kind)}
        return tuple(
            ref
            for ref in self.all
            if ref.kind == served.name and (ref.name, ref.distribution) not in usable
        )

    def ref(self, kind: str, word: str) -> PluginRef:
        """The plugin that `word` means: NAME or NAME@DISTRIBUTION.

        Raises PluginNotFound, PluginIncompatible, or PluginConflict if two distributions use the name.
        """
        name, distribution = _parts(word)
        found = [ref for ref in self.refs(kind) if _is_meant(ref, name, distribution)]
        if not found:
            raise self._not_found(kind, word)
        check_conflict(found)
        return found[0]

    def card(self, ref: PluginRef) -> Any:
        """The card of a plugin, or the function of a model. Made once. Raises PluginLoadError."""
        if ref not in self._cards:
            self._cards[ref] = self._guard("load", ref, lambda: self._admitted(ref))
        return self._cards[ref]

    def facts(self, ref: PluginRef) -> Facts:
        """The facts of a plugin's probe on this machine. Probed once. Raises PluginLoadError."""
        if ref not in self._facts:
            card = self.card(ref)
            self._facts[ref] = self._guard(
                "probe", ref, lambda: plain_facts(self._probe(ref, card))
            )
        return self._facts[ref]

    @property
    def probed(self) -> Mapping[PluginRef, Facts]:
        """The facts of every plugin with a probe of its own that was probed."""
        return {ref: facts for ref, facts in self._facts.items() if has_probe(self._cards[ref])}

    def check(self, ref: PluginRef, need: Any) -> tuple[Reason, ...]:
        """The reasons of a plugin against a need. Raises PluginLoadError if its check raises."""
        card, facts = self.card(ref), self.facts(ref)
        with calling(ref, "check"):
            return _reasons(card.check(need, MappingProxyType(facts)))

    def note(self, ref: PluginRef, need: Any) -> str:
        """What a plugin says about how it would serve a need. Raises PluginLoadError if its method raises."""
        card, facts = self.card(ref), self.facts(ref)
        with calling(ref, "get the note of"):
            return str(card.note(need, MappingProxyType(facts)))

    def defaults(self, ref: PluginRef) -> Mapping[str, Scalar]:
        """The default settings of a platform. Raises PluginLoadError if its method raises or returns something else."""
        card, facts = self.card(ref), self.facts(ref)
        with calling(ref, "get the defaults of"):
            return _settings(card.defaults(MappingProxyType(facts)))

    def end_probes(self) -> None:
        """End the subprocess in which plugins were tried. It starts again if another plugin must be tried."""
        if self._prober:
            self._prober.close()

    @property
    def harmful(self) -> tuple[PluginFailure, ...]:
        """The plugins that were refused because of their behaviour in the subprocess."""
        return tuple(failure for _, failure in self._failed.values() if failure.code == "harm")

    def check_required(self, words: Iterable[str]) -> None:
        """Load all plugins that `words` of plugins.required mean. Raises PluginIncompatible or PluginLoadError."""
        for word in words:
            for ref in (ref for ref in self.all if is_named(ref, word) and ref.kind in self._kinds):
                self._check_major(ref)
                self.card(ref)

    def check_local(self) -> None:
        """Raise ConfigError or PluginIncompatible if no engine can use a local plugin that the settings name.

        Call it when the runtime is served. Kinds of other installed runtimes are no errors.
        """
        elsewhere = {ref.kind for ref in self.all if ref.distribution != LOCAL}
        for ref in (ref for ref in self.all if ref.distribution == LOCAL):
            if ref.kind in self._kinds:
                self._check_major(ref)
            elif ref.kind not in elsewhere:
                kinds = sorted({*self._kinds, *elsewhere})
                raise ConfigError(
                    f"plugins.local has {ref.name!r} of the kind {ref.kind!r}, which nothing here serves"
                    f"{did_you_mean(ref.kind, kinds)} Kinds: {', '.join(kinds)}"
                )

    def _check_major(self, ref: PluginRef) -> None:
        if ref in self.incompatible(ref.kind):
            raise PluginIncompatible(". ".join(incompatibility(ref, self.kind(ref.kind))))

    def required_failures(self, words: Iterable[str]) -> tuple[PluginFailure, ...]:
        """The entries of plugins.required because of which no engine would start."""
        failures = []
        for word in words:
            try:
                self.check_required([word])
            except (PluginIncompatible, PluginLoadError) as error:
                first_line = str(error).partition("\n")[0]
                fix = "Until then no engine with these settings starts"
                failures.append(
                    PluginFailure.of_setting("required", "plugins.required", word, first_line, fix)
                )
        return tuple(failures)

    def check_left(self, *kinds: str) -> None:
        """Raise ConfigError if the settings leave out all installed plugins of a kind."""
        for name in kinds:
            hidden = [ref for ref in self.left_out if ref.kind == name]
            if hidden and not self.refs(name):
                words = ", ".join(f"{ref.name}@{ref.distribution}" for ref in hidden)
                raise ConfigError(
                    f"[plugins] would leave no {self.kind(name).word}: deny, allow and autoload leave out {words}. "
                    "Deny single plugins (NAME@DISTRIBUTION) instead of a distribution that is needed"
                )

    @property
    def problems(self) -> tuple[PluginFailure, ...]:
        """All known failures of installed plugins."""
        return (
            *self._scan_failures,
            *self._unserved(ref for ref in self.all if ref.kind not in self._kinds),
            *(
                PluginFailure.of("incompatible", ref, *incompatibility(ref, kind))
                for kind in self.kinds
                for ref in self.incompatible(kind.name)
            ),
            *(
                PluginFailure.of("conflict", same[0], *conflict(same))
                for kind in self.kinds
                for same in owned_twice(self.refs(kind.name))
            ),
            *(failure for _, failure in self._failed.values()),
        )

    def _admitted(self, ref: PluginRef) -> Any:
        if self._prober:
            self._prober.admit(ref)
        return load_target(ref, self._kinds.get(ref.kind))

    def _guard(self, verb: str, ref: PluginRef, do: Callable[[], Any]) -> Any:
        """Call `do` and keep its failure, so that a broken module is not imported a second time."""
        if (verb, ref) in self._failed:
            raise self._failed[verb, ref][0]
        try:
            with prints_to_stderr():
                return do()
        except FAULTS as error:
            failed = error if isinstance(error, PluginLoadError) else load_error(ref, verb, error)
            fault = fault_of(ref, error)
            code = "harm" if fault.is_harmful else verb
            failure = PluginFailure.of(code, ref, str(fault), failed.remedy, fault.trace)
            self._failed[verb, ref] = failed, replace(failure, cause=fault.cause)
            raise failed from error

    def _not_found(self, kind: str, word: str) -> Exception:
        served = self.kind(kind)
        name, distribution = _parts(word)
        for ref in self.incompatible(kind):
            if _is_meant(ref, name, distribution):
                error, fix = incompatibility(ref, served)
                return PluginIncompatible(f"{error}. {fix}")
        names = sorted({ref.name for ref in self.refs(kind)})
        hidden = "(plugins.allow and plugins.deny may hide one)"
        if elsewhere := owned_elsewhere(word, self.refs(kind)):
            return PluginNotFound(f"no {served.word} {word!r}{elsewhere} {hidden}")
        package = distribution or f"jackfield-{name.lower().replace('_', '-')}"
        return PluginNotFound(
            f"no {served.word} {word!r}{did_you_mean(name, names)} "
            f"Installed and allowed: {', '.join(names) or 'none'}. "
            f"Try: pip install {package} {hidden}"
        )

    def _unserved(self, refs: Iterable[PluginRef]) -> Iterator[PluginFailure]:
        """Plugins of kinds that nothing serves. The nearest name is looked for once for each kind."""
        told: dict[str, tuple[str, str]] = {}
        for ref in refs:
            if ref.kind not in told:
                told[ref.kind] = self._unserved_kind(ref.kind)
            yield PluginFailure.of("kind", ref, *told[ref.kind])

    def _unserved_kind(self, kind: str) -> tuple[str, str]:
        """The error and the remedy."""
        core = [name for name in self._kinds if name.startswith("jackfield.")]
        if kind.startswith("jackfield."):
            error = f"there is no kind {kind!r}{did_you_mean(kind, core)}"
            return error, f"Kinds of the core: {', '.join(core)}"
        error = f"no platform that is installed here serves {kind}"
        error += did_you_mean(kind, self._kinds).removesuffix(".")
        return error, "Install a platform of that runtime, or ignore it"


def _reasons(found: Any) -> tuple[Reason, ...]:
    if not isinstance(found, tuple | list) or not all(isinstance(r, Reason) for r in found):
        raise TypeError(
            f"check() must return a tuple of Reason, empty where it fits, got {found!r}"
        )
    if not all(isinstance(part, str) for r in found for part in (r.code, r.text, r.remedy)):
        raise TypeError(f"check() must return reasons made of text, got {found!r}")
    return tuple(found)


def _settings(found: Any) -> Mapping[str, Scalar]:
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise TypeError(f"defaults() must return a mapping of settings, got {found!r}")
    return dict(found)


def _is_meant(ref: PluginRef, name: str, distribution: str) -> bool:
    return ref.name == name and distribution in ("", ref.distribution)


def _parts(word: str) -> tuple[str, str]:
    name, _, distribution = word.partition("@")
    return name, normalise(distribution)
