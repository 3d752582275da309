"""Decides which of the installed plugins the settings allow."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from jackfield.activation import PluginRef
from jackfield.config.schema import PluginSettings
from jackfield.config.settings import did_you_mean
from jackfield.discovery.failure import PluginFailure
from jackfield.discovery.local import LOCAL
from jackfield.discovery.scan import Scan, normalise
from jackfield.errors import ConfigError, PluginNotFound


class PluginFilter:
    """Applies `[plugins]`. First-party and local plugins are allowed unless denied; an allow-list concerns the others.

    An entry of a list is a distribution, a name, or NAME@DISTRIBUTION.
    """

    def __init__(self, settings: PluginSettings, found: Scan) -> None:
        self._settings = settings
        self._found = found

    def allowed(self, plugins: Iterable[PluginRef]) -> tuple[PluginRef, ...]:
        """The plugins that may be used.

        Raises PluginNotFound if an entry of allow or required means no plugin, or an entry of deny is misspelt.
        """
        plugins = tuple(plugins)
        self._check_named("plugins.allow", self._settings.allow, plugins)
        self._check_named("plugins.required", self._settings.required, plugins)
        self._check_slips(plugins)
        kept = tuple(ref for ref in plugins if self._is_allowed(ref))
        for word in self._settings.required:
            if not any(is_named(ref, word) for ref in kept):
                raise ConfigError(
                    f"plugins.required names {word!r}, which plugins.deny or plugins.allow leave out. "
                    "Remove it from one of the lists"
                )
        return kept

    def idle(self, plugins: Iterable[PluginRef]) -> tuple[PluginFailure, ...]:
        """Entries of deny that mean nothing here. They are no errors, because one config may serve several machines."""
        return tuple(_idle(word) for word in self._idle_words(tuple(plugins)))

    def _idle_words(self, plugins: tuple[PluginRef, ...]) -> list[str]:
        known = self._found.first_party  # not all of them need be installed
        return [
            word
            for word in self._settings.deny
            if normalise(word) not in known and not any(is_named(ref, word) for ref in plugins)
        ]

    def _check_slips(self, plugins: tuple[PluginRef, ...]) -> None:
        """Raise for a misspelt entry of deny: it would allow the plugin that its author wants to deny."""
        known = {word for ref in plugins for word in (ref.distribution, ref.name)}
        pairs = {f"{ref.name}@{ref.distribution}" for ref in plugins}
        for word in self._idle_words(plugins):
            near = [x for x in (pairs if "@" in word else known) if _is_slip(word, x)]
            if near:
                raise PluginNotFound(
                    f"plugins.deny names {word!r}, which is not installed{did_you_mean(word, near)} "
                    "Correct it, or take it off the list here if it does name something else"
                )

    def _is_allowed(self, ref: PluginRef) -> bool:
        settings = self._settings
        if any(is_named(ref, word) for word in settings.deny):
            return False
        if ref.distribution == LOCAL or ref.distribution in self._found.first_party:
            return True
        if settings.autoload and not settings.allow:
            return True
        return any(is_named(ref, word) for word in (*settings.allow, *settings.required))

    def _check_named(
        self, key: str, words: tuple[str, ...], plugins: tuple[PluginRef, ...]
    ) -> None:
        for word in words:
            if not any(is_named(ref, word) for ref in plugins):
                known = sorted({ref.distribution for ref in plugins})
                names = {ref.name for ref in plugins}
                instead = owned_elsewhere(word, plugins) or (
                    f"{did_you_mean(word, [*known, *sorted(names)])} Installed: {', '.join(known) or 'none'}. "
                    f"Try: pip install {word.rpartition('@')[2]}"
                )
                raise PluginNotFound(
                    f"{key} names {word!r}, but no plugin of that distribution or name is installed{instead}"
                )


_MIN_LETTERS = 4  # with fewer letters, nobody can say whether an entry is misspelt
# Least likeness, as difflib counts it, of a misspelt entry and the meant one.
_LIKENESS = 0.75


def _is_slip(word: str, known: str) -> bool:
    """True if `known` was meant. Case, dashes and a leading `jackfield-` do not count; digits do (qwen2, qwen3)."""
    ours, theirs = _plain(word), _plain(known)
    is_telling = min(len(ours), len(theirs)) >= _MIN_LETTERS
    is_alike = is_telling and SequenceMatcher(None, ours, theirs).ratio() >= _LIKENESS
    return ours == theirs or (is_alike and re.findall(r"\d", ours) == re.findall(r"\d", theirs))


def _plain(word: str) -> str:
    return "@".join(
        re.sub(r"[-_.]", "", part.lower().removeprefix("jackfield-")) for part in word.split("@")
    )


def _idle(word: str) -> PluginFailure:
    error = "nothing of that name is installed, so nothing is left out"
    fix = "Correct it, unless it is meant for other machines (`jackfield plugins` lists the names)"
    return PluginFailure.of_setting("deny", "plugins.deny", word, error, fix)


def owned_elsewhere(word: str, plugins: Iterable[PluginRef]) -> str:
    """The end of a sentence on NAME@DISTRIBUTION that names other distributions with this name; empty if there are none."""
    plugins = tuple(plugins)
    name, _, distribution = word.partition("@")
    owners = sorted({ref.distribution for ref in plugins if ref.name == name})
    if not distribution or not owners:
        return ""
    is_here = any(ref.distribution == normalise(distribution) for ref in plugins)
    install = "" if is_here else f", or pip install {distribution}"
    return f"; {name!r} is of {' and '.join(owners)} here. Write {name}@{owners[0]}{install}"


def is_named(ref: PluginRef, word: str) -> bool:
    """True if an entry of a list means this plugin."""
    name, at, distribution = word.partition("@")
    if at:
        return ref.name == name and ref.distribution == normalise(distribution)
    return ref.name == word or ref.distribution == normalise(word)
