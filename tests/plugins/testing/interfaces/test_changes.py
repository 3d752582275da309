"""Every kind of change of a public interface is told, and what breaks a plugin is told apart from what does not."""

import pytest

from jackfield_testing.interfaces.changes import changes
from jackfield_testing.interfaces.shapes import module_of
from jackfield_testing.interfaces.stubs import stub_of

BASE = """
from abc import ABC
class Card(ABC):
    def probe(self) -> dict: return {}
"""
SOURCE = '''
"""A module."""
from __future__ import annotations
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Protocol
from acme.base import Card

FULL = "full"
BYTE = Need("byte", bits=8)
TABLE = {"a": 1}
_PRIVATE = 3

class Codec(Card):
    """Comment."""
    speed: ClassVar[int] = 1

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self._cache = {}

    @abstractmethod
    def encode(self, text: str) -> bytes:
        """What a plugin writes."""

    def decode(self, data: bytes, strict: bool = True) -> str:
        return data.decode()

    def _helper(self) -> None: ...

@dataclass(frozen=True, kw_only=True)
class Need:
    device: str
    window: bool = False

@dataclass(frozen=True)
class Reason:
    code: str
    text: str = ""

class Shard(Protocol):
    rank: int
    def read(self, name: str) -> bytes: ...

class Builder(Protocol):
    def __call__(self, config: dict) -> Need: ...

def parse(text: str, *, strict: bool = True) -> Need: ...
'''
BREAKING = {
    "a constant is renamed": ("FULL = ", "WHOLE = "),
    "a word changes": ('FULL = "full"', 'FULL = "all"'),
    "what a constant is made of changes": ("bits=8", "bits=4"),
    "a class gets a metaclass": ("class Codec(Card)", "class Codec(Card, metaclass=Meta)"),
    "a class is renamed": ("class Need:", "class Want:"),
    "a base goes": ("class Codec(Card)", "class Codec"),
    "a class is no longer frozen": ("@dataclass(frozen=True, kw_only=True)", "@dataclass(kw_only=True)"),
    "a class constant gets another type": ("speed: ClassVar[int]", "speed: ClassVar[float]"),
    "a class constant must be set": ("ClassVar[int] = 1", "ClassVar[int]"),
    "a class constant is new and must be set": ("speed: ", "size: ClassVar[int]\n    speed: "),
    "an abstract method is renamed": ("def encode", "def encode_text"),
    "a method with a default goes": ("def decode", "def _decode"),
    "an abstract method is new": (
        "    def _helper",
        "    @abstractmethod\n    def size(self) -> int: ...\n    def _helper",
    ),
    "a method becomes abstract": ("    def decode", "    @abstractmethod\n    def decode"),
    "a method becomes a property": ("    def decode", "    @property\n    def decode"),
    "a method becomes async": ("    def decode", "    async def decode"),
    "a method of a plugin gets an argument, even an optional one": (
        "encode(self, text: str)",
        "encode(self, text: str, strict: bool = True)",
    ),
    "a method loses a parameter": ("data: bytes, strict: bool = True", "data: bytes"),
    "a parameter is renamed": ("encode(self, text: str)", "encode(self, words: str)"),
    "a parameter gets another type": ("encode(self, text: str)", "encode(self, text: bytes)"),
    "parameters change places": (
        "data: bytes, strict: bool = True",
        "strict: bool = True, data: bytes = b''",
    ),
    "a default changes": ("strict: bool = True) -> str", "strict: bool = False) -> str"),
    "a parameter must be given": ("strict: bool = True) -> str", "strict: bool) -> str"),
    "a method returns another type": ("text: str) -> bytes", "text: str) -> str"),
    "an attribute goes": ("self.level = level", "self._level = level"),
    "a field goes": ("    window: bool = False\n", ""),
    "a field gets another type": ("window: bool", "window: int"),
    "a field gets another default": ("window: bool = False", "window: bool = True"),
    "a field must be given": ("window: bool = False", "window: bool"),
    "a field is new and must be given": ("    device: str\n", "    device: str\n    rank: int\n"),
    "fields that are given by position change places": (
        '    code: str\n    text: str = ""\n',
        '    code: str\n    remedy: str = ""\n    text: str = ""\n',
    ),
    "a function goes": ("def parse", "def _parse"),
    "a function's parameter is new and must be given": ("(text: str, *,", "(text: str, size: int, *,"),
    "a callable gets an argument": ("(self, config: dict)", "(self, config: dict, more: int = 0)"),
    "what is handed in loses a method": ("def read(self", "def _read(self"),
    "what is handed in loses an attribute": ("    rank: int\n    def", "    def"),
}  # fmt: skip
ADDITIVE = {
    "a constant is new": ("FULL = ", 'HALF = "half"\nFULL = '),
    "a class is new": ("class Need:", "class Other: ...\n@dataclass(frozen=True, kw_only=True)\nclass Need:"),
    "a class constant with a default is new": ("speed: ", "size: ClassVar[int] = 2\n    speed: "),
    "a method with a default is new": ("    def _helper", "    def size(self) -> int: return 0\n    def _helper"),
    "an abstract method gets a default": ("    @abstractmethod\n", ""),
    "a field with a default is new": ("window: bool = False", "window: bool = False\n    sinks: bool = False"),
    "a field need no longer be given": ("    device: str\n", "    device: str = 'cpu'\n"),
    "a last positional field with a default is new": ('text: str = ""', 'text: str = ""\n    remedy: str = ""'),
    "a function takes more": ("strict: bool = True) -> Need", "strict: bool = True, size: int = 0) -> Need"),
    "what is handed in offers more": ("    def read(self", "    num_ranks: int\n    def has(self, name: str) -> bool: ...\n    def read(self"),
    "a function is new": ("def parse", "def check(text: str) -> bool: ...\ndef parse"),
}  # fmt: skip
SILENT = {
    "a table grows": ('{"a": 1}', '{"a": 1, "b": 2}'),
    "a comment changes": ("A module.", "Another."),
    "a body changes": ("return data.decode()", "return data.decode('ascii')"),
    "a private name changes": ("_PRIVATE = 3", "_SECRET = 4"),
    "a private method changes": ("def _helper(self)", "def _helper(self, more: int)"),
    "an import changes": ("import dataclass, field", "import dataclass, replace"),
    "the layout changes": ("(text: str, *, strict", "(\n    text: str,\n    *,\n    strict"),
}


def found(edit):
    old, new = edit
    assert old in SOURCE
    before, after = SOURCE, SOURCE.replace(old, new, 1)
    base = module_of("acme.base", stub_of(BASE))
    known = {f"acme.base.{name}": cls for name, cls in base.classes.items()}
    old_module, new_module = (module_of("acme.codec", stub_of(s)) for s in (before, after))
    return list(changes(old_module, new_module, known, known))


@pytest.mark.parametrize("edit", BREAKING.values(), ids=BREAKING)
def test_what_breaks_a_plugin_is_told(edit):
    assert any(change.breaks for change in found(edit))


@pytest.mark.parametrize("edit", ADDITIVE.values(), ids=ADDITIVE)
def test_what_only_adds_is_told_as_such(edit):
    assert [change.breaks for change in found(edit)]
    assert not any(change.breaks for change in found(edit))


@pytest.mark.parametrize("edit", SILENT.values(), ids=SILENT)
def test_what_promises_nothing_is_no_change(edit):
    assert found(edit) == []


def test_a_change_names_its_place_and_what_was_and_is():
    (change,) = found(BREAKING["a field gets another default"])

    assert str(change) == "BREAKS  acme.codec.Need.window: was False, is True"


def test_a_stub_of_a_stub_is_the_same_stub():
    stub = stub_of(SOURCE)

    assert stub_of(stub) == stub


def test_a_class_of_a_package_that_says_so_is_promised_there_too():
    source = "from acme.shapes import A, B\n__all__ = ['A']\nx: B\n"

    assert module_of("acme", stub_of(source)).exports == {"A"}


def test_imports_for_type_checkers_count():
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import Tensor\ndef f(x: Tensor) -> None: ...\n"

    assert "from torch import Tensor" in stub_of(source)


def test_each_overload_is_compared_with_its_own():
    one = "from typing import overload\n@overload\ndef get(x: int) -> int: ...\n@overload\ndef get(x: str) -> str: ...\n"
    two = one.replace("(x: str) -> str", "(x: str) -> bytes")

    old, new = (module_of("acme", stub_of(source)) for source in (one, two))

    assert [change.place for change in changes(old, new, {}, {})] == ["acme.get#2"]


def test_a_member_that_moves_to_a_base_is_still_there():
    old = "class Kit(Card):\n    size: int = 1\n    def check(self) -> None: ...\n"
    new = "class Part(Card):\n    size: int = 1\n    def check(self) -> None: ...\nclass Kit(Part): ...\n"

    assert not any(change.breaks for change in changes_of(old, new))


def test_a_member_that_a_base_has_otherwise_is_told():
    old = "class Kit(Card):\n    def check(self) -> None: ...\n"
    new = "class Part(Card):\n    def check(self, deep: bool) -> None: ...\nclass Kit(Part): ...\n"

    assert [change.place for change in changes_of(old, new) if change.breaks] == [
        "acme.Kit.check.deep"
    ]


def changes_of(old, new):
    before, after = (
        module_of("acme", stub_of(f"from acme.base import Card\n{source}")) for source in (old, new)
    )
    now = {f"acme.{name}": cls for name, cls in after.classes.items()}
    return changes(before, after, {}, now)
