# Part of: jackfield.commands.v1, jackfield.endpoints.v1, jackfield.executors.v1, jackfield.hooks.v1, jackfield.model_sources.v1, jackfield.models.v1, jackfield.platforms.v1, jackfield.reasoning_parsers.v1, jackfield.schedulers.v1, jackfield.speculators.v1, jackfield.structured_output.v1, jackfield.tokenizers.v1, jackfield.tool_parsers.v1, jackfield.weight_formats.v1, jackfield_torch.adapters.v1, jackfield_torch.attention_backends.v1, jackfield_torch.quantization.v1
from dataclasses import dataclass
@dataclass(frozen=True, slots=True)
class DType:
    name: str
    bits: int

    @property
    def itemsize(self) -> int:
        ...

    def __str__(self) -> str:
        ...
FLOAT64 = DType('float64', 64)
FLOAT32 = DType('float32', 32)
FLOAT16 = DType('float16', 16)
BFLOAT16 = DType('bfloat16', 16)
FLOAT8_E4M3 = DType('float8_e4m3', 8)
FLOAT8_E5M2 = DType('float8_e5m2', 8)
INT64 = DType('int64', 64)
INT32 = DType('int32', 32)
INT16 = DType('int16', 16)
INT8 = DType('int8', 8)
UINT8 = DType('uint8', 8)
BOOL = DType('bool', 8)
DTYPES: dict[str, DType] = ...
def parse_dtype(name: str) -> DType:
    ...
