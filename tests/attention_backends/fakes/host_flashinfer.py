"""The FlashInfer backend on the host, with a stand-in for the library."""

import jackfield_flashinfer.backend
from jackfield.decision import Reason


class FlashInfer(jackfield_flashinfer.backend.FlashInferBackend):
    devices = ("cpu",)
    module = "fake_flashinfer"

    def probe(self):
        return {
            "flashinfer": "0.6.12",
            "problem": "",
            "nvcc": "/usr/local/cuda/bin/nvcc",
            "ninja": True,
            "capability": 90,
        }

    def check(self, need, facts):
        if need.dtype == "float16":  # nothing of ours depends on which of the two it is
            return (Reason("dtype", "the stand-in is shown in bfloat16"),)
        return super().check(need, facts)
