"""A stub as data that can be compared: classes, fields, functions, parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a function. Keyword-only parameters have no position."""

    name: str
    place: str  # its position, "keyword", "*" or "**"
    type: str | None
    default: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function or method."""

    parameters: tuple[Parameter, ...]
    returns: str | None
    traits: tuple[str, ...]  # decorators, and "async"

    @property
    def is_abstract(self) -> bool:
        """True if every subclass must implement it."""
        return "abstractmethod" in self.traits


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A field or constant."""

    type: str | None
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """A class, with the full names of its bases."""

    bases: tuple[str, ...]
    decorators: tuple[str, ...]  # decorators, and keywords such as metaclass=...
    fields: Mapping[str, Value]
    methods: Mapping[str, Signature]


@dataclass(slots=True, kw_only=True)
class Module:
    """The promises of a module."""

    name: str
    classes: dict[str, Class] = field(default_factory=dict)
    functions: dict[str, Signature] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)  # local name -> full name
    exports: frozenset[str] = frozenset()  # imported names that this module promises too


def module_of(name: str, stub: str) -> Module:
    """The shape of a stub from `stub_of`."""
    module = Module(name=name)
    exports = set()
    for node in ast.parse(stub).body:
        match node:
            case ast.ImportFrom():
                for alias in node.names:
                    local = alias.asname or alias.name
                    module.imports[local] = f"{node.module}.{alias.name}"
                    if alias.asname == alias.name:
                        exports.add(local)
            case ast.Import():
                for alias in node.names:
                    module.imports[alias.asname or alias.name] = alias.name
            case ast.ClassDef():
                module.classes[node.name] = _class(node, module)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                module.functions[_key(node.name, module.functions)] = _signature(node)
            case ast.Assign() | ast.AnnAssign():
                module.values.update(_value(node))
    module.exports = frozenset(exports)
    return module


def _class(node: ast.ClassDef, module: Module) -> Class:
    fields: dict[str, Value] = {}
    methods: dict[str, Signature] = {}
    for item in node.body:
        match item:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                methods[_key(item.name, methods)] = _signature(item)
            case ast.Assign() | ast.AnnAssign():
                fields.update(_value(item))
    return Class(
        bases=tuple(_full_name(base, module) for base in node.bases),
        decorators=tuple(map(ast.unparse, (*node.decorator_list, *node.keywords))),
        fields=fields,
        methods=methods,
    )


def _full_name(base: ast.expr, module: Module) -> str:
    """The name of a base class with its module, without type arguments."""
    name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
    head, dot, rest = name.partition(".")
    if head in module.imports:
        return module.imports[head] + dot + rest
    return f"{module.name}.{name}" if name in module.classes else name


def _key(name: str, known: Mapping[str, Signature]) -> str:
    """The name, with a number for each further overload."""
    count = sum(key.partition("#")[0] == name for key in known)
    return f"{name}#{count + 1}" if count else name


def _value(node: ast.Assign | ast.AnnAssign) -> dict[str, Value]:
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    annotation = node.annotation if isinstance(node, ast.AnnAssign) else None
    return {ast.unparse(target): Value(type=_text(annotation), value=_text(node.value))}


def _signature(node: _Function) -> Signature:
    traits = [ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list]
    if isinstance(node, ast.AsyncFunctionDef):
        traits.append("async")
    return Signature(
        parameters=tuple(_parameters(node.args)),
        returns=_text(node.returns),
        traits=tuple(traits),
    )


def _parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for place, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        yield _parameter(argument, str(place), default)
    if arguments.vararg:
        yield _parameter(arguments.vararg, "*", None)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, "keyword", default)
    if arguments.kwarg:
        yield _parameter(arguments.kwarg, "**", None)


def _parameter(argument: ast.arg, place: str, default: ast.expr | None) -> Parameter:
    return Parameter(
        name=argument.arg, place=place, type=_text(argument.annotation), default=_text(default)
    )


def _text(node: ast.expr | None) -> str | None:
    return ast.unparse(node) if node is not None else None
