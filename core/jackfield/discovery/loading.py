"""From a reference to the object behind it. Every failure becomes one error that names the plugin."""

from __future__ import annotations

import functools
import importlib
import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path
from typing import Any

import jackfield
from jackfield.activation import PluginRef
from jackfield.discovery.attributes import check_attributes
from jackfield.discovery.kinds import Kind, kind_of
from jackfield.discovery.local import LOCAL, import_local
from jackfield.discovery.printable import MAX_TEXT, printable
from jackfield.errors import JackfieldError, PluginLoadError

_MAX_FRAMES = 4
_OURS = str(Path(__file__).parent)
_CORE_FOLDER = Path(jackfield.__file__).parent
# A plugin that calls sys.exit() must end only the call into the plugin.
FAULTS = (Exception, SystemExit)


class WrongClass(TypeError):
    """The target of an entry point is not of the class that its kind requires."""


class NotSerialisable(TypeError):
    """A probe returned facts that cannot be written as JSON."""


class PluginFault(JackfieldError):
    """A fault of a plugin in the subprocess, in words that can cross a pipe.

    `cause` is "raised", "missing dependency", "wrong class", "not serialisable", "ended", "crashed" or "hung".
    """

    def __init__(self, cause: str, text: str, trace: str = "", fix: str = "") -> None:
        super().__init__(text)
        self.values = {"cause": cause, "text": text, "trace": trace, "fix": fix}
        self.cause, self.trace, self.fix = cause, trace, fix

    @property
    def is_harmful(self) -> bool:
        """True if the plugin must not be loaded into a process that is needed."""
        return self.cause in ("ended", "crashed", "hung")


_CAUSES = {
    ModuleNotFoundError: "missing dependency",
    WrongClass: "wrong class",
    NotSerialisable: "not serialisable",
}


def fault_of(ref: PluginRef, error: BaseException) -> PluginFault:
    """The fault for an exception of a plugin."""
    if isinstance(error, PluginLoadError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, PluginFault):
        return error
    cause = next((name for cls, name in _CAUSES.items() if isinstance(error, cls)), "raised")
    is_known = isinstance(error, JackfieldError)
    text = str(error) if is_known else f"{type(error).__name__}: {error}"
    trace = short_traceback(error)
    return PluginFault(cause, printable(text, MAX_TEXT), trace, fix_for(ref, error))


def load_target(ref: PluginRef, kind: Kind | None = None) -> Any:
    """The card behind `ref`, made from its class, or the function of a model.

    `kind` is the kind of `ref`; None: it is a kind of the core. Raises PluginLoadError, also if the module calls
    sys.exit.
    """
    try:
        return _made(_import(ref), kind or kind_of(ref.kind))
    except FAULTS as error:
        raise load_error(ref, "load", error) from error


@contextmanager
def calling(ref: PluginRef, verb: str) -> Iterator[None]:
    """Surrounds each call into a plugin: an error of the plugin names the plugin. Errors that already do so pass unchanged.

    `verb` says what the call does, such as "open a tokenizer with". Not for code that runs for each token.
    """
    try:
        yield
    except JackfieldError:
        raise
    except FAULTS as error:
        raise load_error(ref, verb, error) from error


def returned(value: Any, expected: type, method: str) -> Any:
    """`value`, which a plugin's method returned. Raises TypeError, to be caught by `calling`, if its type is wrong."""
    if not isinstance(value, expected):
        raise TypeError(
            f"{method}() must return a {expected.__module__}.{expected.__qualname__}, got {value!r:.200}"
        )
    return value


def load_error(ref: PluginRef, verb: str, error: BaseException) -> PluginLoadError:
    """The error for a plugin that raised when it was loaded, probed or called; `verb` says which."""
    fault, failed = fault_of(ref, error), f"cannot {verb} {describe(ref)}"
    fix = fault.fix or fix_for(ref)
    found = PluginLoadError(f"{failed}: {fault}\n{fault.trace}  {fix}")
    first_line = str(fault).partition("\n")[0].removesuffix(", and wrote")
    found.summary, found.remedy = f"{failed}: {first_line}", fix
    return found


def describe(ref: PluginRef) -> str:
    """Name and distribution of a plugin, for messages."""
    whose = f"of {ref.distribution} {ref.version} ({ref.target})"
    return printable(f"the {kind_of(ref.kind).word} {ref.name!r} {whose}")


def fix_for(ref: PluginRef, error: BaseException | None = None) -> str:
    """What a user can do about a failing plugin."""
    avoid = printable(f'leave it out with plugins.deny = ["{ref.name}@{ref.distribution}"]')
    if ref.distribution == LOCAL:
        return f"Correct the file, or {avoid}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        if missing == ref.target.partition(":")[0].partition(".")[0]:
            return (
                f"Reinstall {ref.distribution}, which lacks its own module {error.name}, or {avoid}"
            )
        if "." in error.name:
            return f"{missing} is installed in a release that does not fit: upgrade it and {ref.distribution}, or {avoid}"
        return f"Install what provides {missing!r} (pip install {missing}), or {avoid}"
    return f"Try another release of {ref.distribution}, or {avoid}"


def short_traceback(error: BaseException) -> str:
    """The last frames of the plugin's own code; none if the core raised the error."""
    found = traceback.extract_tb(error.__traceback__)
    if found and found[-1].filename.startswith(_OURS):
        return ""
    frames = [
        frame
        for frame in found
        if "importlib" not in frame.filename and not frame.filename.startswith(_OURS)
    ]
    frames = list(dropwhile(_is_of_core, frames)) or frames
    return printable("".join(traceback.format_list(frames[-_MAX_FRAMES:])))


def _is_of_core(frame: traceback.FrameSummary) -> bool:
    """True for frames between the core and the plugin. The core's own plugins have only such frames."""
    return Path(frame.filename).is_relative_to(_CORE_FOLDER)


def _import(ref: PluginRef) -> Any:
    module_name, _, attribute = ref.target.partition(":")
    local = ref.distribution == LOCAL
    module = import_local(ref) if local else importlib.import_module(module_name)
    return functools.reduce(getattr, filter(None, attribute.split(".")), module)


def _made(target: Any, kind: Kind) -> Any:
    base = kind.base
    if base is None:
        if not callable(target):
            raise WrongClass(f"a {kind.word} must be a function, got {target!r}")
        return target
    if not isinstance(target, type):
        if base is object:
            return target
        raise WrongClass(
            f"a {kind.word} must be a class that extends {base.__name__}, got {target!r}"
        )
    if not issubclass(target, base):
        raise WrongClass(f"{target.__name__} must extend {base.__module__}.{base.__name__}")
    for name, method in inspect.getmembers(base, inspect.isfunction):
        _check_signature(target, name, method)
    made = target()
    check_attributes(made)
    return made


def _check_signature(target: type, name: str, method: Callable[..., Any]) -> None:
    """Raise TypeError if the plugin's method cannot be called as the contract requires."""
    theirs = getattr(target, name)
    if name.startswith("_") or theirs is method or not inspect.isfunction(theirs):
        return
    needed = inspect.signature(method).parameters.values()
    positional = [p.name for p in needed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = {p.name: p for p in needed if p.kind is p.KEYWORD_ONLY}
    try:
        inspect.signature(theirs).bind(*positional, **named)
    except TypeError:
        raise WrongClass(
            f"{target.__name__}.{name}{inspect.signature(theirs)} cannot be called as its contract does: "
            f"{name}{inspect.signature(method)}"
        ) from None
