"""The card of the ROCm platform."""

from __future__ import annotations

from collections.abc import Mapping

from jackfield.config import Scalar
from jackfield.config.options import read_options
from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield.interfaces.platform import PlatformNeed
from jackfield.interfaces.worker import WorkerContext
from jackfield_rocm.builds import build_facts
from jackfield_rocm.card import NoCard, card_facts
from jackfield_rocm.chips import CHIPS
from jackfield_rocm.options import RocmOptions
from jackfield_torch import settings
from jackfield_torch.accelerator_memory import plan_memory
from jackfield_torch.device import Device
from jackfield_torch.platform import TorchPlatform


class RocmPlatform(TorchPlatform):
    """One AMD card for each rank. torch's HIP build names these cards "cuda"."""

    options = RocmOptions
    facts_last = False  # free memory changes
    precedence = 10
    device = "cuda"
    attention_preference = ("triton_attn", "torch_sdpa")  # not measured: kernels before operators

    def probe(self) -> Facts:
        """The first visible card through amdsmi, and the builds of torch and Triton, or why there is no card."""
        try:
            return {**card_facts(), **build_facts()}
        except NoCard as error:
            return {"no_card": str(error)}

    def check(self, need: PlatformNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuses chips that no kernel was compiled for, a torch without HIP, more ranks than cards, and what the runtime refuses."""
        if problem := facts.get("no_card"):
            return (Reason("device", str(problem), "or set select.platform to another one"),)
        return (*_check_card(need, facts), *super().check(need, facts))

    def defaults(self, facts: Facts) -> Mapping[str, Scalar]:
        """bfloat16, which the matrix instructions of all its chips multiply."""
        return {
            "model.dtype": "bfloat16",
            "scheduler.max_step_tokens": 8192,
            "scheduler.max_rows": 256,
        }

    def create_device(self, context: WorkerContext) -> Device:
        """Make the device for the card that `local_rank` names."""
        from jackfield_torch.accelerator import Accelerator, ladder

        options = read_options(RocmOptions, "rocm", context.config)
        sizes = ladder(options.most_graph_rows) if options.graphs else ()
        dtype = settings.model_dtype(context.config, context.spec)
        plan = plan_memory(context.spec, context.config, dtype.itemsize, sizes)
        return Accelerator(
            sizes, plan, index=context.local_rank, compile_threads=options.compile_threads
        )


def _check_card(need: PlatformNeed, facts: Facts) -> tuple[Reason, ...]:
    reasons = []
    if not facts.get("torch_hip"):
        text = f"torch {facts.get('torch') or '(not installed)'} was built without ROCm"
        reasons.append(
            Reason("torch", text, "install PyTorch's build for ROCm, from its own index")
        )
    chip = str(facts.get("architecture"))
    if chip not in CHIPS:
        text = f"{facts.get('name')} is {chip}; kernels are compiled for {', '.join(CHIPS)}"
        reasons.append(Reason("architecture", text, "use one of those, or select.platform = cpu"))
    count = facts.get("count", 1)
    if isinstance(count, int) and need.num_ranks > count:
        text = f"{need.num_ranks} ranks need as many cards, {count} visible"
        reasons.append(
            Reason("ranks", text, "lower executor.tensor_parallel, or make more cards visible")
        )
    return tuple(reasons)
