# Part of: jackfield_torch.adapters.v1
from abc import abstractmethod
from dataclasses import dataclass
from jackfield.config import EngineConfig
from jackfield.interfaces.adapters import AdapterFormat
from jackfield.model_spec import ModelSpec
from jackfield_torch.interfaces.running_adapters import RunningAdapters
KIND = 'jackfield_torch.adapters'
SETTING = 'adapters'
@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterContext:
    spec: ModelSpec
    config: EngineConfig
    device: str
    dtype: str
    max_rows: int
class TorchAdapterFormat(AdapterFormat):

    @abstractmethod
    def create(self, context: AdapterContext) -> RunningAdapters:
        ...
