"""An NVIDIA card as the torch runtime uses it. Products of few tokens use the kernels that were fastest on such cards."""

from __future__ import annotations

from jackfield_cuda.products import choose
from jackfield_torch.accelerator import Accelerator
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.kernels.fused import TritonKernels


class CudaDevice(Accelerator):
    """An NVIDIA card."""

    def kernels(self) -> Kernels:
        """The operations with Triton's kernels."""
        return TritonKernels(choose)
