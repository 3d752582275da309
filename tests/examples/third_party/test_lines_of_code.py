"""The figures on the page of third-party packages are those of the packages."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_prints_the_lines_of_each_package():
    done = subprocess.run(
        [sys.executable, "-m", "tools.count_lines"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
