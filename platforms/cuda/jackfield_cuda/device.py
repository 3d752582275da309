"""One NVIDIA card as the torch runtime uses it: products of few tokens are computed as was measured on such cards."""

from __future__ import annotations

from jackfield_cuda.products import choose
from jackfield_torch.accelerator import Accelerator
from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.kernels.fused import TritonKernels


class CudaDevice(Accelerator):
    """A card."""

    def kernels(self) -> Kernels:
        """Triton's."""
        return TritonKernels(choose)
