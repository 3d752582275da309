"""The FlashAttention backend on the host: each release by its stand-in, torch's own by its real function."""

from dataclasses import replace

import jackfield_flash_attn.backend
from jackfield.decision import Reason
from jackfield_flash_attn import fa2, fa3, fa4, torch_varlen


class _OnHost(jackfield_flash_attn.backend.FlashAttnBackend):
    devices = ("cpu",)

    def probe(self):
        return {**super().probe(), "chip": 9}

    def check(self, need, facts):
        if need.dtype == "float16":  # nothing of ours depends on which of the two it is
            return (Reason("dtype", "stand-ins are shown in bfloat16"),)
        return super().check(need, facts)


def _stand_in(variant, module):
    return replace(variant, modules=(module,), distributions=())


class FlashAttn2(_OnHost):
    variants = (_stand_in(fa2.VARIANT, "fake_fa2"),)


class FlashAttn3(_OnHost):
    variants = (_stand_in(fa3.VARIANT, "fake_fa3"),)


class FlashAttn4(_OnHost):
    variants = (_stand_in(fa4.VARIANT, "fake_fa4"),)


class TorchVarlen(_OnHost):
    variants = (torch_varlen.VARIANT,)


class All(_OnHost):
    """The backend on a machine with all releases."""

    variants = FlashAttn3.variants + FlashAttn4.variants + FlashAttn2.variants
