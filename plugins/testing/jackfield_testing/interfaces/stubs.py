"""The stub of a module: only its public names, with signatures, fields and defaults."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from copy import copy

_BODY = ast.Expr(ast.Constant(...))
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def stub_of(source: str) -> str:
    """The public part of a module's source (or of its stub), as Python code in a normal form.

    Names with an underscore are private, except dunder methods. An imported name is included only if `__all__`, or
    the form `name as name` of stubs, exports it.
    """
    tree = ast.parse(source)
    exported = _exported(tree)
    body = [kept for node in tree.body for kept in _kept(node)]
    imports = [
        kept
        for node in _imports(tree)
        for kept in _kept_import(node, exported, _used_names(body), source)
    ]
    module = ast.Module(body=[*imports, *body], type_ignores=[])
    return "\n".join(ast.unparse(ast.fix_missing_locations(node)) for node in module.body) + "\n"


def is_public(name: str) -> bool:
    """True for names that others may use: without a leading underscore, or special methods of Python."""
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def _kept(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() if is_public(node.name):
            yield _without_body(node)
        case ast.ClassDef() if is_public(node.name):
            yield _class(node)
        case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
            yield ast.Assign(targets=node.targets, value=_shown(node.value), lineno=0)
        case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
            value = node.value and _shown(node.value)
            yield ast.AnnAssign(node.target, node.annotation, value, node.simple)


def _class(node: ast.ClassDef) -> ast.ClassDef:
    body: list[ast.stmt] = []
    for item in node.body:
        match item:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if _is_promised(item.name):
                body.append(_without_body(item))
                if item.name == "__init__":
                    body += _attributes(item)
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                body.append(item)  # the default of a field is part of its meaning
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                body.append(item)
    stub = copy(node)
    stub.body = body or [_BODY]
    return stub


def _is_promised(method: str) -> bool:
    return is_public(method) and method not in ("__post_init__", "__repr__", "__reduce__")


def _attributes(init: _Function) -> Iterator[ast.stmt]:
    """Public attributes that `__init__` sets from its parameters."""
    annotations = {argument.arg: argument.annotation for argument in _arguments(init)}
    for item in init.body:
        match item:
            case ast.Assign(
                targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)],
                value=ast.Name(id=parameter),
            ) if not name.startswith("_") and annotations.get(parameter):
                annotation = annotations[parameter]
                assert annotation is not None
                yield ast.AnnAssign(ast.Name(name, ast.Store()), annotation, _BODY.value, 1)


def _arguments(node: _Function) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _without_body(node: _Function) -> _Function:
    stub = copy(node)
    stub.body = [_BODY]
    return stub


def _shown(value: ast.expr) -> ast.expr:
    """The value, if it is part of a promise: a word, a number, a type, or made of these. The content of a table may
    grow.
    """
    return value if _is_plain(value) else ast.Constant(...)


def _is_plain(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):  # such as INT8 = DType("int8", 8)
        keywords = [keyword.value for keyword in value.keywords]
        return all(map(_is_plain, (value.func, *value.args, *keywords)))
    plain = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.BinOp)
    return isinstance(value, plain)


def _imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports of the module, including those for type checkers."""
    for node in tree.body:
        for item in node.body if isinstance(node, ast.If) else (node,):
            if isinstance(item, (ast.Import, ast.ImportFrom)):
                yield item


def _kept_import(
    node: ast.Import | ast.ImportFrom, exported: set[str], used: set[str], source: str
) -> Iterator[ast.stmt]:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        is_export = name in exported or alias.asname == alias.name
        if is_export or name in used:
            kept = ast.alias(alias.name, name if is_export else alias.asname)
            if isinstance(node, ast.Import):
                yield ast.Import(names=[kept])
            else:
                yield ast.ImportFrom(module=node.module, names=[kept], level=node.level)


def _exported(tree: ast.Module) -> set[str]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                return {str(name.value) for name in names if isinstance(name, ast.Constant)}
    return set()


def _used_names(body: Iterable[ast.stmt]) -> set[str]:
    return {node.id for item in body for node in ast.walk(item) if isinstance(node, ast.Name)}
