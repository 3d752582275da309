"""The xFormers backend on the host, with a stand-in for the library."""

import jackfield_xformers.backend
from jackfield.decision import Reason


class Xformers(jackfield_xformers.backend.XformersBackend):
    devices = ("cpu",)
    module = "fake_fmha"

    def probe(self):
        return {
            "xformers": "0.0.35",
            "torch": "2.11.0+cu130",
            "problem": "",
            "extension": "built for PyTorch 2.10.0+cu128 with CUDA 1208 (you have 2.11.0+cu130)",
            "split": "triton_splitKF",
            "flash": "fa2F@2.5.7-pt",
            "capability": 90,
        }

    def check(self, need, facts):
        if need.dtype == "float16":  # nothing of ours depends on which of the two it is
            return (Reason("dtype", "the stand-in is shown in bfloat16"),)
        return super().check(need, facts)
