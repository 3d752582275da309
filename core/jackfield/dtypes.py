"""The element types in settings, cache groups and checkpoints, without any tensor library."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DType:
    """An element type by name and width."""

    name: str  # as in settings
    bits: int  # of one element

    @property
    def itemsize(self) -> int:
        """Bytes of an element. Raises for types below one byte."""
        if self.bits % 8:
            raise ConfigError(f"{self.name} has {self.bits} bits an element, not whole bytes")
        return self.bits // 8

    def __str__(self) -> str:
        return self.name


FLOAT64 = DType("float64", 64)
FLOAT32 = DType("float32", 32)
FLOAT16 = DType("float16", 16)
BFLOAT16 = DType("bfloat16", 16)
FLOAT8_E4M3 = DType("float8_e4m3", 8)
FLOAT8_E5M2 = DType("float8_e5m2", 8)
INT64 = DType("int64", 64)
INT32 = DType("int32", 32)
INT16 = DType("int16", 16)
INT8 = DType("int8", 8)
UINT8 = DType("uint8", 8)
BOOL = DType("bool", 8)

DTYPES: dict[str, DType] = {
    dtype.name: dtype
    for dtype in (
        FLOAT64, FLOAT32, FLOAT16, BFLOAT16, FLOAT8_E4M3, FLOAT8_E5M2,
        INT64, INT32, INT16, INT8, UINT8, BOOL,
    )
}  # fmt: skip
_ALIASES = {"fp32": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}


def parse_dtype(name: str) -> DType:
    """The DType with this name. A leading `torch.` and the usual short names are accepted."""
    word = name.removeprefix("torch.").lower()
    found = DTYPES.get(_ALIASES.get(word, word))
    if found is None:
        raise ConfigError(f"unknown dtype {name!r}; known: {', '.join(sorted(DTYPES))}")
    return found
