"""Prints an explanation for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.cache import RECURRENT
from jackfield.cli.tables import gib, print_table
from jackfield.decision import Decision, decision_of


def print_explanation(document: Mapping[str, Any], *, with_facts: bool = False) -> None:
    """Print decisions, then settings that are not defaults, memory, and problems.

    `with_facts` adds the needs of decisions and the facts of probes.
    """
    model = document["model"]
    profile = document["profile"]
    where = f", on the machine of profile {profile}" if profile else ""
    print(f"{model['architecture'] or 'model'} in {model['path'] or model['reference']}{where}\n")
    if defaults := model.get("sampling"):  # absent in explanations of earlier releases
        words = ", ".join(f"{name}={value}" for name, value in defaults.items())
        print(f"sampling defaults of the model, where a request leaves them open: {words}\n")
    for decision in map(decision_of, document["decisions"]):
        print(decision.report())
        if with_facts:
            _print_need(decision)
    for sentence in document["idle_rules"]:
        print(sentence)
    print()
    rows = [(s["key"], str(s["value"]), s["source"]) for s in document["settings"]]
    print_table(("setting", "value", "set by"), rows)
    if with_facts:
        _print_facts(document["facts"])
    if document["memory"]:
        _print_memory(document)
    _print_list("notes", [_with_remedy(note) for note in document["notes"]])
    _print_list("problems", [problem_line(problem) for problem in document["problems"]])


def problem_line(problem: Mapping[str, Any]) -> str:
    """A problem in the words of an error message."""
    where = f"{problem['kind']} for {problem['subject']}: " if problem["kind"] else ""
    return f"{where}{problem['text']}"


def _print_need(decision: Decision) -> None:
    match = ", ".join(f"{name} = {value}" for name, value in decision.match.items())
    print(f"  features in use: {', '.join(decision.features) or 'none'}")
    print(f"  facts for rules: {match or 'none'}")


def _print_facts(facts: Mapping[str, Mapping[str, Any]]) -> None:
    print()
    rows = [
        (plugin, ", ".join(f"{name}={value}" for name, value in found.items()))
        for plugin, found in facts.items()
    ]
    print_table(("plugin", "its probe found"), rows)


def _print_memory(document: Mapping[str, Any]) -> None:
    memory = document["memory"]
    values = {setting["key"]: setting["value"] for setting in document["settings"]}
    print(f"\nweights: {gib(memory['weight_bytes'])} in {values['model.dtype']}{_active(memory)}")
    for number, size in enumerate(memory["block_bytes"]):
        print(f"cache group {number}: {_group(memory, number, size)}")
    print(f"cache: {_cache_line(memory)}")


def _active(memory: Mapping[str, Any]) -> str:
    """For mixtures of experts: number of parameters, and how many of them work on a token."""
    total, active = memory.get("num_parameters", 0), memory.get("num_active_parameters", 0)
    if 2 * active > total:
        return ""
    return f"; of {total / 1e9:.2f} billion parameters {active / 1e9:.2f} are active for a token"


def _group(memory: Mapping[str, Any], number: int, size: int) -> str:
    block = f"{size:,} bytes a block of {memory['block_size']} tokens"
    groups = memory.get("groups") or ()  # absent in explanations of earlier releases
    if not groups:
        return block
    kind, layers = groups[number]["kind"], groups[number]["num_layers"]
    numbers = f"{kind}, {layers} layers of {groups[number]['num_elements']:,} numbers"
    if kind == RECURRENT:
        return f"{numbers} a request; {size:,} bytes a state"
    return f"{numbers} a token; {block}"


def _cache_line(memory: Mapping[str, Any]) -> str:
    if memory["problem"]:
        return str(memory["problem"])
    if memory["cache_tokens"] is not None:
        return f"{memory['cache_tokens']:,} tokens"
    most, length = memory["max_cache_tokens"], memory.get("max_length")
    if most is None:
        return "decided once the weights are loaded"
    size = f" in {gib(memory['cache_bytes'])}" if memory.get("cache_bytes") else ""
    room = f"about {most:,} tokens{size}, decided once the weights are loaded"
    return f"{room}; a request has {length:,} tokens at most" if length else room


def _print_list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"\n{title}:")
        for line in lines:
            print(f"- {line}")


def _with_remedy(note: Mapping[str, Any]) -> str:
    return f"{note['text']}: {note['remedy']}" if note["remedy"] else str(note["text"])
