"""An extension of griffe: the comment at a field (unit, shape, lifetime) becomes its docstring."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import griffe

from jackfield.config.document import field_comments


class AttributeComments(griffe.Extension):
    """Uses comments as docstrings. Fields with a docstring keep it."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Called for each attribute of a class or module."""
        if attr.docstring is None and attr.parent is not None and isinstance(attr.filepath, Path):
            if text := _comments(attr.filepath).get((attr.parent.name, attr.name)):
                sentence = text[:1].upper() + text[1:]
                attr.docstring = griffe.Docstring(sentence, lineno=attr.lineno, parent=attr)


@cache
def _comments(file: Path) -> dict[tuple[str, str], str]:
    return field_comments(file.read_text(encoding="utf-8"))
