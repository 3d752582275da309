"""Which of the installed plugins the settings let in."""

from __future__ import annotations

from collections.abc import Iterable

from jackfield.activation import PluginRef
from jackfield.config.schema import PluginSettings
from jackfield.config.settings import did_you_mean
from jackfield.discovery.local import LOCAL
from jackfield.discovery.scan import Scan, normalise
from jackfield.errors import ConfigError, PluginNotFound


class PluginFilter:
    """`[plugins]` applied. First-party plugins and local ones are in unless denied; an allow-list concerns the rest.

    A word of a list is a distribution, a name, or NAME@DISTRIBUTION.
    """

    def __init__(self, settings: PluginSettings, found: Scan) -> None:
        self._settings = settings
        self._found = found

    def allowed(self, plugins: Iterable[PluginRef]) -> tuple[PluginRef, ...]:
        """The plugins that may be used. Raises PluginNotFound where a word of allow or required means none."""
        plugins = tuple(plugins)
        self._check_named("plugins.allow", self._settings.allow, plugins)
        self._check_named("plugins.required", self._settings.required, plugins)
        kept = tuple(ref for ref in plugins if self._is_allowed(ref))
        for word in self._settings.required:
            if not any(is_named(ref, word) for ref in kept):
                raise ConfigError(
                    f"plugins.required names {word!r}, which plugins.deny or plugins.allow leave out. "
                    "Remove it from one of the lists"
                )
        return kept

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
                raise PluginNotFound(
                    f"{key} names {word!r}, but no plugin of that distribution or name is installed"
                    f"{did_you_mean(word, known)} Installed: {', '.join(known) or 'none'}. "
                    f"Try: pip install {word.rpartition('@')[2]}"
                )


def is_named(ref: PluginRef, word: str) -> bool:
    """True where a word of a list means this plugin."""
    name, at, distribution = word.partition("@")
    if at:
        return ref.name == name and ref.distribution == normalise(distribution)
    return ref.name == word or ref.distribution == normalise(word)
