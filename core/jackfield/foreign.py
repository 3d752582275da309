"""A model whose layers are computed by code of another library, around our attention and linears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCode:
    """The code of such a model. The layers of the spec say only how each attends, in the order of the calls."""

    FEATURE: ClassVar[str] = "foreign"

    # The package whose contract `target` fulfils: "jackfield_torch" (jackfield_torch.interfaces.foreign). Platforms
    # of other runtimes refuse the model because of this field.
    runtime: str = ""
    target: str  # "module:class", imported in the worker
    # Logical names of the linears that a quantization scheme may replace, such as "layers.3.self_attn.q_proj".
    linears: tuple[str, ...]
    facts: str  # for the target, which alone reads it
    num_parameters: int  # elements of all matrices
    note: str  # what a user should know about it, for `explain`
