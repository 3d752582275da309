# Part of: jackfield_torch 0.1
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar
from jackfield.config import EngineConfig
from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield.interfaces.platform import ChoicePoint
from jackfield.interfaces.platform import Platform
from jackfield.interfaces.platform import PlatformNeed
from jackfield.interfaces.worker import Worker
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import ModelSpec
from jackfield_torch.device import Device
from jackfield_torch.interfaces import adapters
from jackfield_torch.interfaces import attention_backend
from jackfield_torch.interfaces import logits_processor
from jackfield_torch.interfaces import quantization
from jackfield_torch.interfaces.adapters import TorchAdapterFormat
from jackfield_torch.interfaces.attention_backend import AttentionBackend
from jackfield_torch.interfaces.attention_backend import AttentionNeed
from jackfield_torch.interfaces.logits_processor import TorchLogitsProcessor
from jackfield_torch.interfaces.quantization import QuantizationScheme
from jackfield_torch.model_features import MODEL_FEATURES
from jackfield_torch.model_features import POOLING_FEATURES
from jackfield_torch.model_features import SAMPLING_FEATURES
class TorchPlatform(Platform):
    serves: ClassVar[Mapping[str, tuple[int, ...]]] = {attention_backend.KIND: (1,), quantization.KIND: (1,), logits_processor.KIND: (1,), adapters.KIND: (1,)}
    bases: ClassVar[Mapping[str, type]] = {attention_backend.KIND: AttentionBackend, quantization.KIND: QuantizationScheme, logits_processor.KIND: TorchLogitsProcessor, adapters.KIND: TorchAdapterFormat}
    logits_processors = logits_processor.KIND
    adapters = adapters.KIND
    features = MODEL_FEATURES | SAMPLING_FEATURES | POOLING_FEATURES | {'platform.num_ranks', 'platform.num_drafts', 'platform.num_adapters'}
    device: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]] = ('float32', 'bfloat16', 'float16')
    attention_preference: ClassVar[tuple[str, ...]] = ('torch_sdpa',)
    quantization_preference: ClassVar[tuple[str, ...]] = ('unquantized',)

    @abstractmethod
    def create_device(self, context: WorkerContext) -> Device:
        ...

    def check(self, need: PlatformNeed, facts: Facts) -> tuple[Reason, ...]:
        ...

    def choices(self, spec: ModelSpec, config: EngineConfig, facts: Facts) -> tuple[ChoicePoint, ...]:
        ...

    def create_worker(self, context: WorkerContext) -> Worker:
        ...

    def adapted_modules(self, spec: ModelSpec) -> frozenset[str]:
        ...

    def attention_order(self, need: AttentionNeed) -> tuple[tuple[str, ...], str]:
        ...
