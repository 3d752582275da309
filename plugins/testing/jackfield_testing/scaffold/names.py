"""The names of a new package, all made from the name that its author gives."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jackfield.errors import ConfigError

_LONGEST = 30  # characters, so that lines of code with the name stay short
_FORM = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")
_ARCHITECTURE = re.compile(r"(?P<family>[A-Z]\w*?)(For[A-Z]\w*|LMHead\w*|Model)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """All names of one plugin."""

    # The name that users write: "acme_fast"; for a model its architecture: "AcmeForCausalLM".
    name: str
    slug: str  # "acme_fast"
    title: str  # in class names: "AcmeFast"

    @property
    def package(self) -> str:
        """Name of the import package."""
        return f"jackfield_{self.slug}"

    @property
    def distribution(self) -> str:
        """Name of the distribution."""
        return f"jackfield-{self.slug.replace('_', '-')}"


def names_of(text: str, *, is_model: bool = False) -> Names:
    """The names for a plugin called `text`, with or without `jackfield-` in front. Raises ConfigError."""
    word = re.sub(r"^jackfield[-_]", "", text)
    family = _ARCHITECTURE.fullmatch(word) if is_model else None
    slug = _snake(family["family"] if family else word)
    if not _FORM.fullmatch(word) or len(slug) > _LONGEST:
        raise ConfigError(
            f"{text!r} is no name for a plugin: letters and digits, words joined by - or _, "
            f"a letter first, {_LONGEST} characters at most. Try: acme, acme_fast"
        )
    title = family["family"] if family else "".join(map(_capital, slug.split("_")))
    name = slug
    if is_model:
        name = word if family else f"{title}ForCausalLM"
    return Names(name=name, slug=slug, title=title)


def _snake(word: str) -> str:
    """`AcmeFast` and `acme-fast` become acme_fast; a run of capitals stays together."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", word)
    return parted.replace("-", "_").lower()


def _capital(word: str) -> str:
    return word[0].upper() + word[1:]
