"""The base card of all platforms that torch can drive: the selections beyond the core, and the worker."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from jackfield.cache import RECURRENT
from jackfield.checkpoint.adapter import read_adapters
from jackfield.config import EngineConfig
from jackfield.decision import Reason
from jackfield.dtypes import parse_dtype
from jackfield.interfaces.adapters import AdapterNeed
from jackfield.interfaces.card import Facts
from jackfield.interfaces.platform import ChoicePoint, Platform, PlatformNeed
from jackfield.interfaces.worker import Worker, WorkerContext
from jackfield.model_spec import ModelSpec
from jackfield_torch import settings
from jackfield_torch.adapted_modules import adapted_modules
from jackfield_torch.attention_groups import SETTING as ATTENTION
from jackfield_torch.attention_groups import AttentionGroup, attention_groups
from jackfield_torch.device import Device
from jackfield_torch.interfaces import (
    adapters,
    attention_backend,
    logits_processor,
    quantization,
)
from jackfield_torch.interfaces.adapters import SETTING as ADAPTERS
from jackfield_torch.interfaces.adapters import TorchAdapterFormat
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed
from jackfield_torch.interfaces.logits_processor import TorchLogitsProcessor
from jackfield_torch.interfaces.quantization import QuantizationNeed, QuantizationScheme
from jackfield_torch.linear_groups import SETTING as QUANTIZATION
from jackfield_torch.linear_groups import LinearGroup, linear_groups
from jackfield_torch.model_features import MODEL_FEATURES, POOLING_FEATURES, SAMPLING_FEATURES


class TorchPlatform(Platform):
    """A device that torch supports. A platform gives the device's name, and a function that makes the device."""

    # The kinds of the torch runtime.
    serves: ClassVar[Mapping[str, tuple[int, ...]]] = {
        attention_backend.KIND: (1,),
        quantization.KIND: (1,),
        logits_processor.KIND: (1,),
        adapters.KIND: (1,),
    }
    bases: ClassVar[Mapping[str, type]] = {
        attention_backend.KIND: AttentionBackend,
        quantization.KIND: QuantizationScheme,
        logits_processor.KIND: TorchLogitsProcessor,
        adapters.KIND: TorchAdapterFormat,
    }
    logits_processors = logits_processor.KIND
    adapters = adapters.KIND
    features = (
        MODEL_FEATURES
        | SAMPLING_FEATURES
        | POOLING_FEATURES
        | {"platform.num_ranks", "platform.num_drafts", "platform.num_adapters"}
    )

    device: ClassVar[str]  # name of the device in torch: "cpu", "cuda"
    # Dtypes of its computations.
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "bfloat16", "float16")
    # Names; the first that fits is taken.
    attention_preference: ClassVar[tuple[str, ...]] = ("torch_sdpa",)
    # Names; the first that fits is taken.
    quantization_preference: ClassVar[tuple[str, ...]] = ("unquantized",)

    @abstractmethod
    def create_device(self, context: WorkerContext) -> Device:
        """Make the device of `context.rank`. Runs in the worker's process."""

    def check(self, need: PlatformNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse dtypes that the device does not support, and heads that ranks cannot share."""
        return (*self._check_dtype(need), *_check_ranks(need), *_check_drafts(need))

    def choices(
        self, spec: ModelSpec, config: EngineConfig, facts: Facts
    ) -> tuple[ChoicePoint, ...]:
        """A quantization scheme for each group of linears, an attention backend for each group of layers, and what
        reads adapters if there are any.
        """
        return (
            *self._adapter_choice(spec, config),
            *(self._linear_choice(spec, config, group) for group in linear_groups(spec, config)),
            *map(self._attention_choice, attention_groups(spec, config, self.device)),
        )

    def create_worker(self, context: WorkerContext) -> Worker:
        """Make a worker of the torch runtime on this platform's device."""
        from jackfield_torch.worker import TorchWorker

        return TorchWorker(context, self.create_device(context))

    def _linear_choice(
        self, spec: ModelSpec, config: EngineConfig, group: LinearGroup
    ) -> ChoicePoint:
        return ChoicePoint(
            kind=quantization.KIND,
            setting=QUANTIZATION,
            subject=group.subject,
            need=QuantizationNeed(
                device=self.device,
                dtype=settings.model_dtype(config, spec).name,
                method=group.method,
                settings=group.settings,
                stored=group.stored,
            ),
            preference=self.quantization_preference,
            match=group.match,
            remedy=_remedy(group.method),
            covers=group.modules,
        )

    def adapted_modules(self, spec: ModelSpec) -> frozenset[str]:
        """The linears of attention and of dense feed-forwards."""
        return adapted_modules(spec)

    def _adapter_choice(self, spec: ModelSpec, config: EngineConfig) -> tuple[ChoicePoint, ...]:
        """With adapters in the config, or the user's word that some will come."""
        if not config.adapters and config.select.get(ADAPTERS) is None:
            return ()
        need = AdapterNeed(
            model=spec,
            modules=adapted_modules(spec),
            adapters=read_adapters(config.adapters),
            config=config,
        )
        return (
            ChoicePoint(
                kind=adapters.KIND,
                setting=ADAPTERS,
                subject=", ".join(config.adapters) or "adapters to come",
                need=need,
                preference=("lora",),
                remedy="adapters of PEFT need a plugin that computes them: pip install jackfield-lora",
            ),
        )

    def attention_order(self, need: AttentionNeed) -> tuple[tuple[str, ...], str]:
        """Names of attention backends in order of preference, and in words the figures that the order rests on."""
        return self.attention_preference, ""

    def _attention_choice(self, group: AttentionGroup) -> ChoicePoint:
        preference, merit = self.attention_order(group.need)
        return ChoicePoint(
            kind=attention_backend.KIND,
            setting=ATTENTION,
            subject=group.subject,
            need=group.need,
            preference=preference,
            merit=merit,
            match=group.match,
            covers=group.modules,
        )

    def _check_dtype(self, need: PlatformNeed) -> tuple[Reason, ...]:
        # "auto" is not replaced yet when platforms are compared.
        if need.dtype == "auto" or parse_dtype(need.dtype).name in self.dtypes:
            return ()
        allowed = ", ".join(self.dtypes)
        return (
            Reason(
                "dtype",
                f"computes in {allowed}, not in {need.dtype}",
                f"set model.dtype to one of {allowed}",
            ),
        )


def _remedy(method: str) -> str:
    if method == "none":
        return ""
    return (
        f"the checkpoint is quantized with {method!r}. Install a scheme that reads it "
        f"(pip install jackfield-{method.replace('_', '-')}), or take a checkpoint with plain weights"
    )


def _check_drafts(need: PlatformNeed) -> tuple[Reason, ...]:
    if not need.num_drafts or not any(
        use.kind == RECURRENT
        for layer in need.model.layers
        for use in layer.mixer.caches(need.model.dtype)
    ):
        return ()
    return (
        Reason(
            "drafts",
            "confirms no drafts where layers are recurrent: their state cannot go back",
            "set speculation.num_tokens to 0",
        ),
    )


def _check_ranks(need: PlatformNeed) -> tuple[Reason, ...]:
    ranks = need.num_ranks
    for index, layer in enumerate(need.model.layers):
        if why := layer.mixer.refuse_ranks(ranks):
            return (
                Reason(
                    "ranks",
                    f"{why} of layer {index}",
                    "set executor.tensor_parallel to a number that divides both",
                ),
            )
    return ()
