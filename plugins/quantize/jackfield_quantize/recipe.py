"""The options of a run: scheme, bits, groups and calibration. They are checked before a file is opened. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jackfield.errors import ConfigError

WHOLE = -1  # group size: one group, all inputs of an output
_SIZES = (16, 32, 64, 96, 128, 192, 256, 512)


@dataclass(frozen=True, slots=True)
class SchemeFacts:
    """The options that a scheme has."""

    bits: tuple[int, ...]
    formats: tuple[str, ...]  # the first is the default
    is_grouped: bool = False  # weights share a scale with `group_size` others
    has_zeros: bool = False  # codes may have zero points
    default_symmetric: bool = True
    needs_text: bool = False  # it needs a text for calibration
    block: int = 1  # inputs that share a scale, if the scheme fixes their number


SCHEMES = {
    "gptq": SchemeFacts(
        (2, 3, 4, 8),
        ("gptq", "compressed-tensors"),
        is_grouped=True,
        has_zeros=True,
        needs_text=True,
    ),
    "awq": SchemeFacts(
        (4,),
        ("awq", "compressed-tensors"),
        is_grouped=True,
        has_zeros=True,
        default_symmetric=False,
        needs_text=True,
    ),
    "squeezellm": SchemeFacts((3, 4), ("squeezellm",), needs_text=True),
    "rtn": SchemeFacts(
        (2, 3, 4, 8), ("gptq", "compressed-tensors"), is_grouped=True, has_zeros=True
    ),
    "fp8": SchemeFacts((8,), ("compressed-tensors", "fp8")),
    "int8": SchemeFacts((8,), ("compressed-tensors",)),
    "nf4": SchemeFacts((4,), ("bitsandbytes",), block=2),
    "mxfp4": SchemeFacts((4,), ("compressed-tensors",), block=32),
    "nvfp4": SchemeFacts((4,), ("compressed-tensors",), block=16),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to quantise. Raises ConfigError for options that the scheme does not have."""

    scheme: str
    bits: int
    group_size: int = 128  # inputs; WHOLE: all
    symmetric: bool = True  # no zero points
    format: str = ""  # on disk; empty: the scheme's own
    sparse: float = 0.0  # share of weights that SqueezeLLM stores exactly
    calibration: Path | None = None  # a text; None: the one that ships
    num_rows: int = 64  # rows of calibration
    row_length: int = 512  # tokens

    def __post_init__(self) -> None:
        facts = SCHEMES.get(self.scheme)
        if facts is None:
            raise ConfigError(f"no scheme {self.scheme!r}; allowed: {', '.join(SCHEMES)}")
        self._check("--bits", self.bits, facts.bits)
        self._check("--format", self.format, facts.formats)
        if not facts.has_zeros and not self.symmetric:
            raise ConfigError(f"{self.scheme} has no zero points: leave out --asymmetric")
        if self.group_size != WHOLE and self.group_size < 8:
            raise ConfigError(
                f"--group-size must be {WHOLE} (all inputs) or a number from 8, got {self.group_size}"
            )
        if not 0 <= self.sparse <= 0.1:
            raise ConfigError(f"--sparse must be a share from 0 to 0.1, got {self.sparse}")
        if self.sparse and self.scheme != "squeezellm":
            raise ConfigError(f"--sparse belongs to squeezellm, not to {self.scheme}: leave it out")
        if self.num_rows < 1 or self.row_length < 8:
            raise ConfigError(
                "calibration needs --samples from 1 and --sample-length from 8 tokens, "
                f"got {self.num_rows} and {self.row_length}"
            )
        if self.calibration is not None and not self.calibration.is_file():
            raise ConfigError(f"--calibration {self.calibration} is no file. Name a text in UTF-8")

    @property
    def facts(self) -> SchemeFacts:
        """The options of the scheme."""
        return SCHEMES[self.scheme]

    def check_shape(self, module: str, num_outputs: int, num_inputs: int) -> None:
        """Raise ConfigError for a matrix that cannot be stored so."""
        size = self.group_size
        if self.facts.is_grouped and size != WHOLE and num_inputs % size:
            sizes = [str(other) for other in _SIZES if num_inputs % other == 0]
            raise ConfigError(
                f"--group-size {size} does not divide the {num_inputs} inputs of {module}; "
                f"sizes that do: {', '.join([*sizes, str(WHOLE)])} ({WHOLE}: all inputs)"
            )
        if num_inputs % self.facts.block:
            raise ConfigError(
                f"{self.scheme} takes {self.facts.block} inputs at a time, and the {num_inputs} inputs of {module} are no "
                "multiple of them. Take another --scheme"
            )
        packed = {
            "gptq": (num_inputs, num_outputs),
            "awq": (num_outputs,),
            "squeezellm": (num_inputs,),
        }
        for number in packed.get(self.format, ()):
            if number * self.bits % 32:
                raise ConfigError(
                    f"{module} has {num_outputs} outputs and {num_inputs} inputs; the format {self.format} fills words of "
                    f"32 bits, which {number} codes of {self.bits} bits do not. Take another --bits or --format"
                )

    def as_table(self) -> dict[str, Any]:
        """Plain values, for comparing runs."""
        table = asdict(self)
        return {
            **table,
            "calibration": str(self.calibration.resolve()) if self.calibration else None,
        }

    @staticmethod
    def _check(option: str, value: object, allowed: tuple[object, ...]) -> None:
        if value not in allowed:
            raise ConfigError(f"{option} {value}: allowed are {', '.join(map(str, allowed))}")
