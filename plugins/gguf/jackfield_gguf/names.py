"""From GGUF's tensor names to canonical ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jackfield.errors import CheckpointError
from jackfield_gguf.metadata import Metadata
from jackfield_gguf.recurrent_config import rotates
from jackfield_gguf.rope import FREQUENCIES
from jackfield_gguf.tables import TABLES, Table
from jackfield_gguf.undo import Undo

_PARTS = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<module>\w+?)(?:\.(?P<parameter>weight|bias))?")
# Tables that follow from the metadata. FREQUENCIES is read into the config.
_DERIVED = re.compile(rf"{re.escape(FREQUENCIES)}|blk\.\d+\.attn_rot_embd\.weight")


@dataclass(frozen=True, slots=True)
class CanonicalName:
    """A canonical name, and how to undo the storage; `num_heads` is for UNPAIR.

    `{e}` stands in the name of a tensor of all experts. In the canonical form each expert has a tensor of its own.
    """

    name: str
    undo: Undo = Undo.NOTHING
    num_heads: int = 0


def canonical_name(stored: str, metadata: Metadata) -> CanonicalName | None:
    """The canonical name of a stored tensor; None for tables that follow from the metadata."""
    if _DERIVED.fullmatch(stored):
        return None
    table, parts = _table(metadata), _PARTS.fullmatch(stored)
    found = _found(table, parts["module"], parts["parameter"]) if parts else None
    if parts is None or found is None:
        raise CheckpointError(
            f"{metadata.path} has the tensor {stored!r}, which no {metadata.architecture} model that "
            "is supported here has; ignoring it would give wrong answers. Use the model's original "
            "checkpoint"
        )
    prefix = f"{table.blocks}.{parts['layer']}." if parts["layer"] else ""
    module, parameter = parts["module"], parts["parameter"]
    undo = table.undo.get(f"{module}.{parameter}", table.undo.get(module, Undo.NOTHING))
    num_heads = _num_heads(metadata, module) if undo is Undo.UNPAIR else 0
    return CanonicalName(prefix + found, undo, num_heads)


def _found(table: Table, module: str, parameter: str | None) -> str | None:
    if whole := table.modules.get(f"{module}.{parameter}"):
        return whole
    name = table.modules.get(module)
    return f"{name}.{parameter}" if name and parameter else name


def _table(metadata: Metadata) -> Table:
    name = metadata.architecture
    if name == "llama" and metadata.get("expert_count", int, 0) > 0:
        return TABLES["llama with experts"]
    if name == "granitehybrid" and not rotates(metadata):
        return TABLES["granitehybrid without rope"]
    return TABLES[name]


def _num_heads(metadata: Metadata, module: str) -> int:
    return metadata.num_kv_heads if module == "attn_k" else metadata.num_heads
