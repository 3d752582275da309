"""One-file plugins: `[plugins] local = ["models.MyModel=custom_model:build"]`.

The module is searched in the current folder, then on sys.path, without importing it or its parents. The hash of its
file is part of the activation plan, so that a worker runs the same file that was checked.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from jackfield.activation import PluginRef
from jackfield.config.settings import did_you_mean
from jackfield.discovery.kinds import CORE_KINDS, full_name, short_name
from jackfield.errors import ConfigError, PluginLoadError, PluginNotFound

LOCAL = "local"  # stands in place of the distribution of an installed plugin
_FORM = re.compile(
    r"(?P<kind>\w+|jackfield\w*\.\w+?)(?:\.v(?P<major>\d+))?\.(?P<name>[\w-]+)\s*=\s*(?P<target>[\w.]+:[\w.]+)"
)


def parse_local(text: str) -> PluginRef:
    """The plugin that a line of `plugins.local` names. Raises ConfigError; PluginNotFound if the file is missing."""
    form = _FORM.fullmatch(text.strip())
    if not form:
        raise ConfigError(
            f"plugins.local has {text!r}; write KIND.NAME=MODULE:ATTRIBUTE, "
            'e.g. "models.MyModelForCausalLM=custom_model:build"'
        )
    kind = full_name(form["kind"])
    known = CORE_KINDS.get(kind)
    major = form["major"] or max(known.majors if known else (), default=1)
    digest = file_sha256(form["target"].partition(":")[0])
    return PluginRef(
        kind=kind,
        major=int(major),
        name=form["name"],
        distribution=LOCAL,
        version=digest[:12],
        target=form["target"],
        content_sha256=digest,
    )


def check_local(plugins: Iterable[PluginRef], installed: Iterable[PluginRef]) -> None:
    """Raise ConfigError if two files use the same name, or if the core has no such kind.

    The kinds of a runtime are known only when its platform is chosen.
    """
    core = [short_name(kind.name) for kind in CORE_KINDS.values() if kind.majors]
    others = sorted({ref.kind for ref in installed} - CORE_KINDS.keys())
    targets: dict[tuple[str, int, str], str] = {}
    for ref in plugins:
        kind = short_name(ref.kind)
        if ref.kind.startswith("jackfield.") and kind not in core:
            of_a_runtime = [other for other in others if other.endswith(f".{kind}")]
            raise ConfigError(
                f"plugins.local has {ref.name!r} of the kind {kind!r}, which nothing serves"
                f"{did_you_mean(of_a_runtime[0] if of_a_runtime else kind, [*core, *others])} "
                f"Kinds: {', '.join([*core, *others])}"
            )
        key = (ref.kind, ref.major, ref.name)
        if key in targets:
            raise ConfigError(
                f"plugins.local has {ref.name!r} of {kind} twice: {targets[key]} and {ref.target}. "
                "Remove one, or rename it"
            )
        targets[key] = ref.target


def import_local(ref: PluginRef) -> ModuleType:
    """The module of a local plugin. Raises PluginLoadError if its file is no longer that of the plan."""
    name = ref.target.partition(":")[0]
    if file_sha256(name) != ref.content_sha256:
        raise PluginLoadError(
            f"the file of the local plugin {ref.name} ({name}) is not the one that was selected: "
            "its content differs. Start the engine again, and give all machines the same file"
        )
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.remove(folder)
    if getattr(module, "__file__", None) != _find(name)[0]:
        raise ImportError(f"another module is already loaded as {name!r}; rename the file")
    return module


def file_sha256(module: str) -> str:
    """Hash of a module's file. The module is not imported."""
    origin, _ = _find(module)
    if origin is None:
        raise PluginNotFound(
            f"the local plugin's module {module!r} is a folder; name a module in it"
        )
    return hashlib.sha256(Path(origin).read_bytes()).hexdigest()


def _find(module: str) -> tuple[str | None, list[str]]:
    """The file of a module, None for a folder, and the folders of a package's modules.

    It is searched part by part, because `importlib.util.find_spec` would import its parents.
    """
    importlib.invalidate_caches()
    origin, folders = None, [str(Path.cwd()), *sys.path]
    for part in module.split("."):
        spec = PathFinder.find_spec(part, folders)
        if spec is None:
            raise PluginNotFound(
                f"no module {module!r} for a local plugin in the folder {Path.cwd()} or on sys.path. "
                "Start in the folder of the file, or add that folder to PYTHONPATH"
            )
        origin = spec.origin if spec.has_location else None
        folders = list(spec.submodule_search_locations or ())
    return origin, folders
