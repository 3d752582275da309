# Part of: jackfield_torch.logits_processors.v1
from abc import abstractmethod
from dataclasses import dataclass
from jackfield.interfaces.logits_processor import LogitsProcessor
from jackfield_torch.interfaces.row_processor import RowProcessor
KIND = 'jackfield_torch.logits_processors'
@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorLimits:
    vocab_size: int
    max_rows: int
    max_length: int
    device: str
class TorchLogitsProcessor(LogitsProcessor):

    @abstractmethod
    def create(self, limits: ProcessorLimits) -> RowProcessor:
        ...
