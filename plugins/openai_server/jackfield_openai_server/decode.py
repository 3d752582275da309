"""From the body of a request to a struct, or to an error that explains what is wrong."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from starlette.requests import ClientDisconnect, Request

from jackfield_openai_server.errors import ApiError, ClientGone

T = TypeVar("T")
_UNKNOWN = re.compile(r"unknown field `(.+?)`(?: - at `\$\.?(.*)`)?$")
_WHERE = re.compile(r" - at `\$\.?(.*)`$")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


async def read_body(request: Request, kind: type[T]) -> T:
    """The body as `kind`. Raises ApiError 400 if it is no JSON, or does not fit `kind`, ClientGone if not all of it comes."""
    try:
        body = await request.body()
    except ClientDisconnect:
        raise ClientGone from None
    return decode(body, kind)


def decode(body: bytes, kind: type[T]) -> T:
    """As `read_body`, for bytes."""
    try:
        decoded: T = _decoder(cast(Any, kind)).decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None
    except msgspec.DecodeError as error:
        raise ApiError(400, f"the body is no JSON: {error}", code="invalid_json") from None
    except RecursionError:
        raise ApiError(400, "the body is nested too deeply", code="invalid_json") from None
    return decoded


def converted(value: object, kind: type[T], param: str) -> T:
    """A part of a request that was not decoded with it. Raises ApiError 400."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"{param}: {error}", param=param, code="invalid_value") from None


def _invalid(message: str, kind: type[object]) -> ApiError:
    if found := _UNKNOWN.search(message):
        name, where = found.groups()
        known = _fields_at(kind, where)
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f". Known: {', '.join(sorted(known))}"
        param = f"{where}.{name}" if where else name
        return ApiError(
            400, f"unknown parameter {param!r}{hint}", param=param, code="unknown_parameter"
        )
    place = _WHERE.search(message)
    param = place[1] if place else None
    text = _WHERE.sub("", message)
    return ApiError(
        400,
        f"{param or 'the body'}: {text[:1].lower()}{text[1:]}",
        param=param,
        code="invalid_value",
    )


def _fields_at(kind: type[object], where: str | None) -> list[str]:
    """Names of the fields of a struct: of `kind` itself, or of the struct at a path in it."""
    info: msgspec.inspect.Type | None = msgspec.inspect.type_info(kind)
    for step in filter(None, re.split(r"[.\[]", where or "")):
        info = _inner(info, step.rstrip("]"))
    return [] if not isinstance(info, msgspec.inspect.StructType) else _names(info)


def _inner(info: msgspec.inspect.Type | None, step: str) -> msgspec.inspect.Type | None:
    """The type at one step of a path: a field of a struct, or an element of a list."""
    for part in _alternatives(info):
        if isinstance(part, msgspec.inspect.StructType):
            for field in part.fields:
                if field.encode_name == step:
                    return _struct_of(field.type)
        if isinstance(part, msgspec.inspect.ListType):
            return _struct_of(part.item_type)
    return None


def _struct_of(info: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """The struct or list among the alternatives of a type."""
    wanted = (msgspec.inspect.StructType, msgspec.inspect.ListType)
    return next((part for part in _alternatives(info) if isinstance(part, wanted)), info)


def _alternatives(info: msgspec.inspect.Type | None) -> tuple[msgspec.inspect.Type, ...]:
    if isinstance(info, msgspec.inspect.UnionType):
        return info.types
    if isinstance(info, msgspec.inspect.Metadata):
        return _alternatives(info.type)
    return () if info is None else (info,)


def _names(info: msgspec.inspect.StructType) -> list[str]:
    return [field.encode_name for field in info.fields]
