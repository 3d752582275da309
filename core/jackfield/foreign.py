"""A model whose layers no runtime interprets: code of another library computes them, around our attention and linears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCode:
    """What stands in a spec beside layers that say only how each attends, in the order in which they do."""

    FEATURE: ClassVar[str] = "foreign"

    # Whose contract `target` fulfils: "jackfield_torch" (jackfield_torch.interfaces.foreign). Platforms of other runtimes
    # refuse the model, by the name of this field.
    runtime: str = ""
    target: str  # "module:class", imported in the worker
    # Of the linears that a quantization scheme multiplies: logical names, "layers.3.self_attn.q_proj".
    linears: tuple[str, ...]
    facts: str  # for the target, which alone knows what they mean
    num_parameters: int  # elements of all matrices
    note: str  # what a user should know of it, for `explain`
