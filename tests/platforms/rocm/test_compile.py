"""Every Triton kernel compiles for AMD's chips and for Hopper, where Triton is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[3] / "tools" / "compile_kernels.py"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chip", ["gfx90a", "gfx942", "gfx950", "sm_90"])
def test_every_kernel_compiles_for_the_chip(chip):
    pytest.importorskip("triton", reason="pip install triton: it holds AMD's compiler")

    done = subprocess.run([sys.executable, TOOL, chip], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
