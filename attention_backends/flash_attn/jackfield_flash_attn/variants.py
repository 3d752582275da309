"""The releases of FlashAttention in order of preference, and which of them are usable here."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from jackfield.interfaces.card import Facts
from jackfield_flash_attn import fa2, fa3, fa4, torch_varlen
from jackfield_flash_attn.variant import Ask, Variant

# The fastest first: on Hopper, release 3 splits long contexts among processors, release 4 does not yet.
VARIANTS = (fa3.VARIANT, fa4.VARIANT, fa2.VARIANT, torch_varlen.VARIANT)


def missing(variant: Variant) -> str:
    """Why a variant cannot be called here; empty if it can. Imports it, unless it is torch's own."""
    if variant.modules[-1].startswith("torch."):
        return _missing_in_source(variant)
    if not version(variant):
        return "is not installed"
    try:
        function = getattr(variant.load(), variant.function, None)
    except Exception as error:  # an extension that does not load may raise any error
        return f"is installed and cannot be imported: {type(error).__name__}: {_first_line(error)}"
    if function is None:
        return f"has no {variant.function} in this release ({version(variant)})"
    if variant.parameter not in inspect.signature(function).parameters:
        return _reads_no_blocks(variant)
    return ""


def _missing_in_source(variant: Variant) -> str:
    """The same for a module that always imports, read from its file, because importing torch would take seconds."""
    package, _, rest = variant.modules[-1].partition(".")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return "is not installed"
    file = Path(spec.origin)
    if rest:
        file = (file.parent / rest.replace(".", "/")).with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    functions = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    if variant.function not in functions:
        return f"has no {variant.function} in this release ({version(variant)})"
    arguments = functions[variant.function]
    names = {one.arg for one in (*arguments.args, *arguments.kwonlyargs)}
    return "" if variant.parameter in names else _reads_no_blocks(variant)


def _reads_no_blocks(variant: Variant) -> str:
    return f"reads no blocks in this release ({version(variant)}): {variant.function} has no {variant.parameter}"


def version(variant: Variant) -> str:
    """Version of the variant's distribution; empty if there is none."""
    for name in variant.distributions or ("torch",):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def find_variants(variants: Sequence[Variant]) -> dict[str, str]:
    """Facts: the version of each usable variant; for others the reason, as NAME.missing."""
    facts: dict[str, str] = {}
    for variant in variants:
        facts[variant.name] = version(variant)
        facts[f"{variant.name}.missing"] = missing(variant)
    return facts


def choose(
    variants: Sequence[Variant], ask: Ask, facts: Facts
) -> tuple[Variant | None, Mapping[str, str]]:
    """The first usable variant that serves `ask`, and the reasons against the variants before it."""
    refusals: dict[str, str] = {}
    chip = facts.get("chip")
    for variant in variants:
        why = str(facts.get(f"{variant.name}.missing", "is not known here"))
        if why:
            refusals[variant.name] = f"{variant.label} {why}; {variant.remedy}"
            continue
        objections = variant.objections(ask, chip if isinstance(chip, int) else 0)
        if not objections:
            return variant, refusals
        release = f" {facts[variant.name]}" if variant.distributions else ""
        refusals[variant.name] = f"{variant.label}{release} {' and '.join(objections)}"
    return None, refusals


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
