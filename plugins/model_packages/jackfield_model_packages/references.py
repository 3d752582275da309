"""References to packages: `pypi:NAME==VERSION[+NAME==VERSION...]`, or an alias."""

from __future__ import annotations

import re

from jackfield.errors import ModelNotFound
from jackfield_model_packages.aliases import ALIASES, Package, PackagedModel

PREFIX = "pypi:"
_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[A-Za-z0-9][\w.!]*)")


def is_reference(text: str) -> bool:
    """True for references to packages, and for aliases."""
    return text.startswith(PREFIX) or text in ALIASES


def parse_reference(text: str) -> PackagedModel:
    """The packages that `text` means. Raises ModelNotFound."""
    if text in ALIASES:
        return ALIASES[text]
    packages = []
    for part in text.removeprefix(PREFIX).split("+"):
        found = _PACKAGE.fullmatch(part.strip())
        if found is None:
            raise ModelNotFound(
                f"the reference {text!r} has the part {part!r}; allowed are "
                f"{PREFIX}NAME==VERSION, several of them joined by '+', and the aliases "
                f"{', '.join(sorted(ALIASES))}. State the version of each package"
            )
        name = re.sub(r"[-_.]+", "-", found["name"]).lower()
        packages.append(Package(name, found["version"]))
    model = PackagedModel(tuple(packages))
    known = {str(alias): alias for alias in ALIASES.values()}
    return known.get(str(model), model)  # an alias written as its wheels is verified too
