"""The card of the CUDA platform."""

from __future__ import annotations

from collections.abc import Mapping

from jackfield.config import Scalar
from jackfield.config.options import read_options
from jackfield.decision import Reason
from jackfield.dtypes import parse_dtype
from jackfield.interfaces.card import Facts
from jackfield.interfaces.platform import PlatformNeed
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import ModelSpec
from jackfield_cuda import preferences
from jackfield_cuda.builds import build_facts
from jackfield_cuda.card import NoCard, card_facts
from jackfield_cuda.options import CudaOptions
from jackfield_torch import settings
from jackfield_torch.accelerator_memory import plan_memory
from jackfield_torch.device import Device
from jackfield_torch.interfaces.attention_backend import AttentionNeed
from jackfield_torch.platform import TorchPlatform

_LEAST_CAPABILITY = 70  # Triton's kernels need tensor cores
_BFLOAT16 = 80  # the first capability that multiplies bfloat16
_HOST_FLOP = 6e12  # operations of a fast card while the host launches a step with prompts
_LARGE_CARD = 64 << 30  # bytes; above it steps may be larger


class CudaPlatform(TorchPlatform):
    """One NVIDIA card for each rank."""

    options = CudaOptions
    facts_last = False  # free memory changes
    precedence = 10
    device = "cuda"

    def probe(self) -> Facts:
        """The first visible card through NVML, and the builds of torch and Triton, or why there is no card. Makes no
        CUDA context.
        """
        try:
            return {**card_facts(), **build_facts()}
        except NoCard as error:
            return {"no_card": str(error)}

    def check(self, need: PlatformNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuses old cards and drivers, a torch without CUDA, more ranks than cards, and what the runtime refuses."""
        if problem := facts.get("no_card"):
            return (Reason("device", str(problem), "or set select.platform to another one"),)
        return (*_check_build(facts), *_check_card(need, facts), *super().check(need, facts))

    def defaults(self, facts: Facts) -> Mapping[str, Scalar]:
        """bfloat16 if the card multiplies it, else float16; larger steps and more rows on a large card."""
        fast = _number(facts, "capability") >= _BFLOAT16
        is_large = _number(facts, "total_bytes") >= _LARGE_CARD
        return {
            "model.dtype": "bfloat16" if fast else "float16",
            "scheduler.max_step_tokens": 16384 if is_large else 8192,
            "scheduler.max_rows": 512 if is_large else 256,
            # A block holds a tile of keys, which the copy engine brings at once.
            "cache.block_size": 64,
        }

    def attention_order(self, need: AttentionNeed) -> tuple[tuple[str, ...], str]:
        """The backends in the order of their measured speed."""
        return preferences.attention_order(need)

    def create_device(self, context: WorkerContext) -> Device:
        """Make the device for the card that `local_rank` names."""
        from jackfield_cuda.device import CudaDevice
        from jackfield_torch.accelerator import ladder, token_ladder

        options = read_options(CudaOptions, "cuda", context.config)
        sizes = ladder(options.most_graph_rows) if options.graphs else ()
        most_tokens = _most_tokens(options, context.spec)
        token_sizes = token_ladder(most_tokens) if options.graphs else ()
        dtype = settings.model_dtype(context.config, context.spec)
        plan = plan_memory(context.spec, context.config, dtype.itemsize, sizes, token_sizes)
        return CudaDevice(
            sizes,
            plan,
            index=context.local_rank,
            token_sizes=token_sizes,
            compile_threads=options.compile_threads,
        )


def _most_tokens(options: CudaOptions, spec: ModelSpec) -> int:
    """Tokens of the largest recorded step with prompts. In larger steps the card takes longer than the host, and
    padding costs time.
    """
    size = spec.hidden_size
    active = sum(
        layer.mixer.num_parameters(size)
        + (layer.feed_forward.num_active_parameters(size) if layer.feed_forward else 0)
        for layer in spec.layers
    )
    return min(options.most_graph_tokens, int(_HOST_FLOP / (2 * max(1, active))))


def _check_build(facts: Facts) -> tuple[Reason, ...]:
    built_for, runs = facts.get("torch_cuda"), str(facts.get("cuda") or "")
    if built_for == "":
        text = f"torch {facts.get('torch') or '(not installed)'} was built without CUDA"
        return (
            Reason("torch", text, "install PyTorch's build for CUDA (pip install torch on Linux)"),
        )
    if built_for and _major(str(built_for)) > _major(runs):
        text = f"driver {facts.get('driver')} runs CUDA up to {runs}, torch was built for CUDA {built_for}"
        return (
            Reason(
                "driver", text, "update NVIDIA's driver, or install a torch built for an older CUDA"
            ),
        )
    return ()


def _check_card(need: PlatformNeed, facts: Facts) -> tuple[Reason, ...]:
    capability, reasons = _number(facts, "capability", _LEAST_CAPABILITY), []
    if capability < _LEAST_CAPABILITY:
        text = f"{facts.get('name')} has compute capability {capability / 10}; needs {_LEAST_CAPABILITY / 10}"
        reasons.append(Reason("capability", text, "use a newer card, or select.platform = cpu"))
    if need.num_ranks > _number(facts, "count", 1):
        text = f"{need.num_ranks} ranks need as many cards, {facts.get('count', 1)} visible"
        reasons.append(
            Reason("ranks", text, "lower executor.tensor_parallel, or make more cards visible")
        )
    if (
        need.dtype != "auto"
        and parse_dtype(need.dtype).name == "bfloat16"
        and capability < _BFLOAT16
    ):
        text = f"{facts.get('name')} does not multiply bfloat16"
        reasons.append(Reason("dtype", text, "set model.dtype to float16"))
    return tuple(reasons)


def _number(facts: Facts, name: str, default: float = 0) -> float:
    found = facts.get(name)
    return float(found) if isinstance(found, (int, float)) else default


def _major(version: str) -> int:
    return int(version.partition(".")[0] or 0)
