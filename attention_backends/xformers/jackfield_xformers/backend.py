"""The card of the xFormers backend."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING, ClassVar

from jackfield.cache import CacheGroup, CacheLayout, LayoutSupport
from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed

if TYPE_CHECKING:
    from jackfield_torch.interfaces.attention import AttentionLimits, GroupAttention

_DTYPES = ("bfloat16", "float16")
_HEAD_SIZES = (16, 32, 64, 128, 256)  # sizes that both operators support
_BLOCK_MULTIPLE = 64  # tokens: the keys of a tile must be in one block
_LEAST_CAPABILITY = 80
_OTHER = "or set select.attention to another one"


class XformersBackend(AttentionBackend):
    """Paged block-diagonal bias and `triton_splitK` for rows with one query; PyTorch's flash operator for the others."""

    features = frozenset({"attention.non_causal"})
    layouts = LayoutSupport(orders=("KBSHD",), dtypes=_DTYPES)
    capture = "uniform"
    needs_host_lengths = True  # by them, the keys of a prompt are gathered
    needs_finite_slots = True

    devices: ClassVar[tuple[str, ...]] = ("cuda",)
    module: ClassVar[str] = "xformers.ops.fmha"

    def probe(self) -> Facts:
        """The installed release, which of the two operators exist, and why its own extension does not load."""
        facts: dict[str, str | int] = {
            "xformers": _version(),
            "torch": "",
            "problem": "",
            "extension": "",
            "split": "",
            "flash": "",
            "capability": 0,
        }
        if facts["xformers"]:
            import torch

            facts |= {"torch": str(torch.__version__), "capability": _capability()}
            try:
                facts |= _operators(self.module)
            except Exception as error:  # its parts may raise any error
                facts["problem"] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return facts

    def check(self, need: AttentionNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse hosts, a missing operator, and dtypes, heads and blocks that the operators do not support."""
        if need.device not in self.devices:
            text = f"needs an NVIDIA GPU, not {need.device}"
            return (Reason("device", text, "set select.attention to torch_sdpa"),)
        if not facts.get("xformers"):
            return (Reason("xformers", "xFormers is not installed", "pip install xformers"),)
        return (*_check_install(facts), *_check_need(need, facts))

    def create(
        self, group: CacheGroup, layout: CacheLayout, limits: AttentionLimits
    ) -> GroupAttention:
        """Make the object that attends for one cache group."""
        from jackfield_xformers.attention import XformersAttention

        return XformersAttention(layout.block_size, limits, importlib.import_module(self.module))


def _check_install(facts: Facts) -> Iterator[Reason]:
    name = f"xFormers {facts.get('xformers')}"
    if problem := facts.get("problem"):
        yield Reason("xformers", f"{name} cannot be imported: {problem}", _OTHER)
        return
    if not facts.get("split"):
        text = f"{name} has no triton_splitK operator here: it needs Triton"
        yield Reason("triton_splitk", text, "pip install triton, " + _OTHER)
    if not facts.get("flash"):
        text = f"{name} finds no flash operator in torch {facts.get('torch')}{_extension(facts)}"
        yield Reason("flash", text, "install PyTorch's build for CUDA, " + _OTHER)
    capability = facts.get("capability")
    if isinstance(capability, int) and capability < _LEAST_CAPABILITY:
        text = (
            f"runs on chips of capability {_LEAST_CAPABILITY / 10} and newer, not {capability / 10}"
        )
        yield Reason("capability", text + _extension(facts), _OTHER)


def _check_need(need: AttentionNeed, facts: Facts) -> Iterator[Reason]:
    wrong = {need.dtype, need.cache_dtype}.difference(_DTYPES)
    if wrong:
        text = f"computes in {' and '.join(_DTYPES)}, not in {', '.join(sorted(wrong))}"
        yield Reason(
            "dtype", text + _extension(facts), "set model.dtype and cache.dtype to one of them"
        )
    elif need.dtype != need.cache_dtype:
        text = (
            f"reads a cache in the dtype of the queries, not {need.cache_dtype} with {need.dtype}"
        )
        yield Reason("cache_dtype", text, "leave cache.dtype at auto")
    if need.head_size not in _HEAD_SIZES:
        sizes = ", ".join(map(str, _HEAD_SIZES))
        yield Reason("head_size", f"takes heads of {sizes} elements, not {need.head_size}", _OTHER)
    if need.block_size % _BLOCK_MULTIPLE:
        text = f"reads blocks of a multiple of {_BLOCK_MULTIPLE} tokens, not {need.block_size}"
        yield Reason("block_size", text, f"set cache.block_size to {_BLOCK_MULTIPLE}")


def _extension(facts: Facts) -> str:
    """An addition to a refusal that would not be needed if its own extension loaded."""
    found = facts.get("extension")
    return f"; its own extension, which has more operators, does not load: {found}" if found else ""


def _operators(module: str) -> dict[str, str | int]:
    fmha = importlib.import_module(module)
    return {
        "extension": _extension_problem(module.partition(".")[0]),
        **{
            fact: operator.NAME if operator.is_available() else ""
            for fact, operator in (("split", fmha.triton_splitk.FwOp), ("flash", fmha.flash.FwOp))
        },
    }


def _extension_problem(package: str) -> str:
    """Why the compiled part does not load, in its own words: its build, and the installed versions."""
    library = importlib.import_module(f"{package}._cpp_lib")
    error = getattr(library, "_cpp_library_load_exception", None)
    if error is None:
        return ""
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    built = [line for line in lines if "you have" in line]
    return f"built for {'; '.join(built)}" if built else lines[0]


def _version() -> str:
    try:
        return metadata.version("xformers")
    except metadata.PackageNotFoundError:
        return ""


def _capability() -> int:
    """Capability of the first card, times ten; 0 if torch sees no card."""
    import torch

    if not torch.cuda.is_available():
        return 0
    major, minor = torch.cuda.get_device_capability()
    return 10 * major + minor
