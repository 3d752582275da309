"""`jackfield doctor`: the machine, what is installed on it, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jackfield import __version__
from jackfield.activation import PluginRef
from jackfield.cli.plugins import check_all, problems_of
from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.cli.tables import gib, print_table
from jackfield.discovery.kinds import PLATFORMS
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.scan import installed_version
from jackfield.environment import cache_folder
from jackfield.errors import JackfieldError, PluginLoadError
from jackfield.interfaces.command import Command

_LIBRARIES = ("torch", "jax", "transformers", "tokenizers", "numpy")  # only their metadata are read


class DoctorCommand(Command):
    """Prints facts for a bug report. Imports a tensor library only if a platform's probe must."""

    summary = "describe the machine and check what is installed"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="one JSON object")
        parser.add_argument(
            "--save-profile",
            type=Path,
            metavar="FILE",
            help="also write what the probes found, for `jackfield explain MODEL --profile FILE` elsewhere",
        )
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print the report. Returns 1 if something is wrong."""
        if arguments.save_profile:
            from jackfield.discovery.profile import save_profile

            registry = PluginRegistry.scan(load_from_arguments(arguments).config.plugins)
            registry.serve_all()
            save_profile(arguments.save_profile, _machine_of_profile(), registry)
        report = {
            "machine": machine_facts(),
            "cache_folder": folder_facts(cache_folder()),
            **_plugin_facts(arguments),
        }
        if arguments.json:
            print(json.dumps(report, indent=2, default=str))
        else:
            _print(report)
        return 1 if any(problem["is_fault"] for problem in report["problems"]) else 0


def machine_facts() -> dict[str, Any]:
    """Facts of this machine: versions from metadata, processor and memory from the system."""
    return {
        "jackfield": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        **{name: installed_version(name) or "not installed" for name in _LIBRARIES},
    }


def _machine_of_profile() -> dict[str, Any]:
    """The machine without facts that are private to its user."""
    return {name: value for name, value in machine_facts().items() if name != "python"}


def folder_facts(folder: Path) -> dict[str, Any]:
    """The folder of downloads, and whether downloads can be written to it."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return {
        "path": str(folder),
        "exists": folder.is_dir(),
        "writable": os.access(existing, os.W_OK),
        "free_bytes": shutil.disk_usage(existing).free,
    }


def _plugin_facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """The facts of each platform, and all problems. Wrong settings count as a problem."""
    try:
        settings = load_from_arguments(arguments).config.plugins
        registry = PluginRegistry.scan(settings)
    except JackfieldError as error:
        text = f"the settings are wrong: {error}"
        problem = {"code": "settings", "is_fault": True, "text": text}
        return {"platforms": {}, "problems": [problem]}
    registry.serve_all()
    check_all(registry)
    return {
        "platforms": {ref.name: _found(registry, ref) for ref in registry.refs(PLATFORMS)},
        "problems": [
            {**asdict(p), "is_fault": p.is_fault, "text": str(p)}
            for p in problems_of(registry, settings, is_check=True)
        ],
    }


def _found(registry: PluginRegistry, ref: PluginRef) -> dict[str, Any]:
    try:
        return dict(registry.facts(ref))
    except PluginLoadError as error:
        return {"error": str(error).partition("\n")[0]}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    if not all(name in os.sysconf_names for name in names):
        return None
    return os.sysconf(names[0]) * os.sysconf(names[1])


def _in_words(name: str, value: Any) -> tuple[str, str]:
    """A fact for people, with sizes in GiB."""
    if name.endswith("_bytes") and isinstance(value, int):
        return name.removesuffix("_bytes"), gib(value)
    return name, str(value)


def _print(report: dict[str, Any]) -> None:
    for title in ("machine", "cache_folder"):
        rows = [_in_words(name, value) for name, value in report[title].items()]
        print_table((title, ""), rows)
        print()
    print_table(
        ("platform", "found"),
        [
            (name, ", ".join("=".join(_in_words(k, v)) for k, v in facts.items()))
            for name, facts in report["platforms"].items()
        ],
    )
    print(f"\n{len(report['problems']) or 'no'} problems")
    for problem in report["problems"]:
        print(f"- {problem['text']}")
