"""Snapshots of all public modules of some packages, and their comparison with the sources.

`contracts.toml` in the folder of the snapshots says, for each package, which modules are public and which contracts
are served, each with the module that a plugin of that contract implements:

    [acme]
    public = ["interfaces.*", "errors", "shapes"]
    shared = ["errors"]
    [acme.contracts]
    "acme.codecs.v1" = ["interfaces.codec", "interfaces.codec_helpers"]

A module is part of a contract if the types of signatures lead to it from the contract's modules or from the shared
ones. A module that is part of no contract belongs to the release of its package ("acme 0.1").
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from jackfield.discovery.scan import installed_version
from jackfield.errors import ConfigError
from jackfield_testing.interfaces.changes import Change, changes
from jackfield_testing.interfaces.shapes import Class, Module, module_of
from jackfield_testing.interfaces.stubs import stub_of

MANIFEST = "contracts.toml"
_PART_OF = "# Part of: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The stub of one module, and the contracts that it is part of."""

    stub: str
    contracts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text of the file."""
        return f"{_PART_OF}{', '.join(self.contracts)}\n{self.stub}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The differences between sources and snapshots."""

    breaking: tuple[Change, ...]  # changes of served contracts; they need a new major
    others: tuple[Change, ...]  # additions, and changes of contracts that are no longer served
    stale: tuple[str, ...]  # modules whose snapshots must be written again

    @property
    def is_clean(self) -> bool:
        """True if the snapshots agree with the sources."""
        return not (self.breaking or self.stale)

    def __str__(self) -> str:
        lines = [str(change) for change in (*self.breaking, *self.others)]
        lines += [f"stale  {name}" for name in self.stale]
        return "\n".join(lines)


def read_sources(folder: Path) -> dict[str, Snapshot]:
    """Snapshots of the current sources of the packages in the manifest of `folder`, by module."""
    manifest = _manifest(folder)
    stubs: dict[str, str] = {}
    for package, entry in manifest.items():
        for name, file in _public_files(package, entry["public"]):
            stubs[name] = stub_of(file.read_text(encoding="utf-8"))
    modules = _modules(stubs)
    members = _members(manifest, modules)
    return {
        name: Snapshot(stub=stub, contracts=members.get(name) or (_release(name),))
        for name, stub in stubs.items()
    }


def read_snapshots(folder: Path) -> dict[str, Snapshot]:
    """The snapshots in `folder`, by module."""
    found = {}
    for file in sorted(folder.glob("*.pyi")):
        head, _, stub = file.read_text(encoding="utf-8").partition("\n")
        contracts = tuple(head.removeprefix(_PART_OF).split(", "))
        found[file.name.removesuffix(".pyi")] = Snapshot(stub=stub, contracts=contracts)
    return found


def compare(old: Mapping[str, Snapshot], new: Mapping[str, Snapshot]) -> Report:
    """Find the changes. Breaking changes are allowed if no contract of the old module is served any more."""
    served = {contract for snapshot in new.values() for contract in snapshot.contracts}
    before = _modules({name: snapshot.stub for name, snapshot in old.items()})
    after = _modules({name: snapshot.stub for name, snapshot in new.items()})
    known, current = _classes(before), _classes(after)
    breaking: list[Change] = []
    others: list[Change] = []
    for name, snapshot in old.items():
        now = after.get(name, Module(name=name))
        is_served = bool(served.intersection(snapshot.contracts))
        for change in changes(before[name], now, known, current):
            (breaking if change.breaks and is_served else others).append(change)
    stale = [
        name
        for name in sorted({*old, *new})
        if name not in old
        or name not in new
        or before[name] != after[name]
        or old[name].contracts != new[name].contracts
    ]
    return Report(breaking=tuple(breaking), others=tuple(others), stale=tuple(stale))


def write_snapshots(folder: Path, snapshots: Mapping[str, Snapshot]) -> None:
    """Replace the snapshots in `folder`."""
    for file in folder.glob("*.pyi"):
        if file.name.removesuffix(".pyi") not in snapshots:
            file.unlink()
    for name, snapshot in snapshots.items():
        (folder / f"{name}.pyi").write_text(snapshot.text, encoding="utf-8")


def _manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read {file}: {error}. It names the public modules and the contracts of each package"
        ) from None


def _public_files(package: str, public: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Each public module with its source; nothing is imported. "" is the package itself."""
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{MANIFEST} names the package {package!r}, which is not installed")
    root = Path(next(iter(spec.submodule_search_locations)))
    for pattern in public:
        parent, star, _ = pattern.rpartition("*")
        place = root / Path(*parent.rstrip(".").split(".")) if star else root
        names = (
            [f"{parent}{file.stem}" for file in sorted(place.glob("[!_]*.py"))]
            if star
            else [pattern]
        )
        for name in names:
            yield f"{package}.{name}" if name else package, _file(root, name)


def _file(root: Path, name: str) -> Path:
    base = root / Path(*name.split(".")) if name else root
    stubbed = (base / "__init__.pyi", base.with_suffix(".pyi"))
    for file in (*stubbed, base / "__init__.py", base.with_suffix(".py")):
        if file.is_file():
            return file
    raise ConfigError(f"{MANIFEST} names the public module {name!r}, but {root} has none")


def _modules(stubs: Mapping[str, str]) -> dict[str, Module]:
    return {name: module_of(name, stub) for name, stub in stubs.items()}


def _classes(modules: Mapping[str, Module]) -> dict[str, Class]:
    return {
        f"{module.name}.{name}": cls
        for module in modules.values()
        for name, cls in module.classes.items()
    }


def _members(
    manifest: Mapping[str, Any], modules: Mapping[str, Module]
) -> dict[str, tuple[str, ...]]:
    """The contracts that each module is part of."""
    found: dict[str, list[str]] = {}
    for package, entry in manifest.items():
        for contract, roots in entry.get("contracts", {}).items():
            names = [f"{package}.{root}" for root in (*roots, *entry.get("shared", ()))]
            for name in _reached(names, modules):
                found.setdefault(name, []).append(contract)
    return {name: tuple(sorted(contracts)) for name, contracts in found.items()}


def _reached(roots: Sequence[str], modules: Mapping[str, Module]) -> set[str]:
    for root in roots:
        if root not in modules:
            raise ConfigError(f"{MANIFEST} names {root!r} for a contract; it is no public module")
    reached, waiting = set(roots), [*roots]
    while waiting:
        for full in modules[waiting.pop()].imports.values():
            name = full if full in modules else full.rpartition(".")[0]
            if name in modules and name not in reached:
                reached.add(name)
                waiting.append(name)
    return reached


def _release(module: str) -> str:
    package = module.partition(".")[0]
    version = installed_version(package.replace("_", "-")) or "0.0"
    return f"{package} {'.'.join(version.split('.')[:2])}"
