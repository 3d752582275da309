"""One-file plugins: `[plugins] local = ["models.MyModel=custom_model:build"]`.

The module is looked up in the current folder, then on sys.path, without importing it or its parents. The hash of
its file enters the activation plan, so that a worker never runs another file than the one that was checked.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from importlib.machinery import ModuleSpec, PathFinder
from itertools import accumulate
from pathlib import Path
from types import ModuleType

from jackfield.activation import PluginRef
from jackfield.discovery.kinds import CORE_KINDS, full_name
from jackfield.errors import ConfigError, PluginLoadError, PluginNotFound

LOCAL = "local"  # stands where the distribution of an installed plugin stands
_FORM = re.compile(
    r"(?P<kind>\w+|jackfield\w*\.\w+?)(?:\.v(?P<major>\d+))?\.(?P<name>[\w-]+)\s*=\s*(?P<target>[\w.]+:[\w.]+)"
)


def parse_local(text: str) -> PluginRef:
    """The plugin that a line of `plugins.local` names. Raises ConfigError, or PluginNotFound without the file."""
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


def import_local(ref: PluginRef) -> ModuleType:
    """The module of a local plugin, if its file is still the one of the plan. Raises PluginLoadError."""
    module = ref.target.partition(":")[0]
    if file_sha256(module) != ref.content_sha256:
        raise PluginLoadError(
            f"the file of the local plugin {ref.name} ({module}) is not the one that was selected: "
            "its content differs. Start the engine again, and give all machines the same file"
        )
    return _import(module)


def file_sha256(module: str) -> str:
    """Hash of the file of a module, which is not imported."""
    spec = _find(module)
    if not spec.origin or not spec.has_location:
        raise PluginNotFound(f"the local plugin's module {module!r} has no file; name a module")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _find(module: str) -> ModuleSpec:
    """The spec of a module, found part by part: `importlib.util.find_spec` would import the parents."""
    importlib.invalidate_caches()
    path: list[str] = [str(Path.cwd()), *sys.path]
    spec: ModuleSpec | None = None
    for name in accumulate(module.split("."), "{}.{}".format):
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            raise PluginNotFound(
                f"no module {module!r} for a local plugin in the folder {Path.cwd()} or on sys.path. "
                "Start in the folder of the file, or add that folder to PYTHONPATH"
            )
        path = list(spec.submodule_search_locations or ())
    assert spec is not None
    return spec


def _import(name: str) -> ModuleType:
    if parent := name.rpartition(".")[0]:
        _import(parent)
    spec = _find(name)
    loaded = sys.modules.get(name)
    if loaded is not None:
        if getattr(loaded, "__file__", None) != spec.origin:
            raise ImportError(f"another module is already loaded as {name!r}; rename the file")
        return loaded
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        assert spec.loader is not None
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
