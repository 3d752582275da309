"""How a blueprint is told: as text for people, as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from jackfield import __version__
from jackfield.cli.tables import print_table
from jackfield.config import EngineConfig, Layer
from jackfield.engine.blueprint import Blueprint
from jackfield.engine.estimate import MemoryEstimate, estimate_memory


def print_document(blueprint: Blueprint, profile: str | None = None) -> None:
    """One JSON object. `profile` is the machine it holds for, None: this one."""
    document = {
        "jackfield": __version__,
        "profile": profile,
        "model": {"path": str(blueprint.files.path), "architecture": blueprint.spec.architecture},
        "decisions": [asdict(decision) for decision in blueprint.decisions],
        "idle_rules": list(blueprint.idle_rules),
        "settings": [
            {"key": key, "value": value, "source": source}
            for key, value, source in _settings(blueprint)
        ],
        "facts": dict(blueprint.facts),
        "memory": asdict(estimate_memory(blueprint)),
        "digest": blueprint.activation.digest,
    }
    print(json.dumps(document, indent=2))


def print_text(blueprint: Blueprint, profile: str | None = None) -> None:
    """Decisions, then the settings that are not defaults, then memory."""
    where = f", on the machine of profile {profile}" if profile else ""
    print(f"{blueprint.spec.architecture} in {blueprint.files.path}{where}\n")
    for decision in blueprint.decisions:
        print(decision.report())
    for sentence in blueprint.idle_rules:
        print(sentence)
    print()
    rows = [(key, str(value), source) for key, value, source in _settings(blueprint)]
    print_table(("setting", "value", "set by"), rows)
    memory = estimate_memory(blueprint)
    print(f"\nweights: {_mib(memory.weight_bytes)} in {blueprint.config.model.dtype}")
    block_size = blueprint.config.cache.block_size
    for number, size in enumerate(memory.block_bytes):
        print(f"cache group {number}: {size:,} bytes a block of {block_size} tokens")
    print(f"cache: {_cache_line(memory)}")


def _settings(blueprint: Blueprint) -> list[tuple[str, Any, str]]:
    """Settings that somebody set, with the place that won."""
    found = []
    for key, source in blueprint.provenance.items():
        if source.layer is not Layer.DEFAULT:
            found.append((key, _value(blueprint.config, key), str(source)))
    return found


def _value(config: EngineConfig, key: str) -> Any:
    section, _, name = key.partition(".")
    if section == "options":
        plugin, _, option = name.partition(".")
        return config.options[plugin][option]
    return config.select[name] if section == "select" else getattr(getattr(config, section), name)


def _cache_line(memory: MemoryEstimate) -> str:
    if memory.problem:
        return memory.problem
    if memory.cache_tokens is not None:
        return f"{memory.cache_tokens:,} tokens"
    most = memory.max_cache_tokens
    room = "" if most is None else f"; at most {most:,} tokens fit beside the weights"
    return f"decided once the weights are loaded{room}"


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
