"""An explanation as data: decisions, settings, facts, and problems. docs/plugins.md lists its keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from jackfield import __version__
from jackfield.config import EngineConfig, LoadedConfig, SourceKind
from jackfield.config.settings import OPEN_SECTIONS
from jackfield.decision import Reason
from jackfield.discovery.profile import Profile, profile_key
from jackfield.startup.blueprint import Blueprint
from jackfield.startup.chooser import Problem
from jackfield.startup.estimate import MemoryEstimate, estimate_memory

FORMAT = 1  # version of the document; added keys do not change it


def explain(plan: Blueprint, profile: Profile | None = None) -> dict[str, Any]:
    """The explanation of a blueprint, for JSON. `profile` is the machine that it is for; None: this machine."""
    memory, problems = _memory(plan)
    problems = [*plan.problems, *problems]
    files, registry = plan.model.files, plan.registry
    return {
        "format": FORMAT,
        "jackfield": __version__,
        "profile": profile.name if profile else None,
        "model": {
            "reference": plan.loaded.config.model.reference,
            "path": str(files.path) if files else None,
            "architecture": plan.model.architecture,
            "sampling": dict(plan.model.sampling),
        },
        "decisions": [asdict(decision) for decision in plan.activation.decisions],
        "idle_rules": list(plan.idle_rules),
        "problems": [asdict(problem) for problem in problems],
        "notes": [asdict(note) for note in _notes(plan, profile)],
        "settings": [
            {"key": key, "value": value, "source": source}
            for key, value, source in settings_in_force(plan.loaded)
        ],
        "facts": {profile_key(ref): dict(facts) for ref, facts in registry.probed.items()},
        "memory": asdict(memory) if memory else None,
        "digest": None if plan.problems else plan.activation.digest,
    }


def settings_in_force(loaded: LoadedConfig) -> list[tuple[str, Any, str]]:
    """Key, value and source of the settings that are not defaults."""
    return [
        (key, _value(loaded.config, key), str(source))
        for key, source in loaded.provenance.items()
        if source.kind is not SourceKind.DEFAULT
    ]


def _memory(plan: Blueprint) -> tuple[MemoryEstimate | None, list[Problem]]:
    """The estimate, or None if not all is decided or a weight file cannot be read."""
    if plan.problems:
        return None, []
    try:
        return estimate_memory(plan), []
    except Exception as error:  # also an error that a weight format raised
        return None, [Problem.of(error)]


def _notes(plan: Blueprint, profile: Profile | None) -> Iterable[Reason]:
    registry = plan.registry
    return profile.notes((*registry.all, *registry.left_out)) if profile else ()


def _value(config: EngineConfig, key: str) -> Any:
    section, _, name = key.partition(".")
    if section == "options":
        plugin, _, option = name.partition(".")
        return config.options[plugin][option]
    part = getattr(config, section)
    return part[name] if section in OPEN_SECTIONS else getattr(part, name)
