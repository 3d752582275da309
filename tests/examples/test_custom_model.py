import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.cpu_model
def test_the_example_of_a_custom_model_answers_every_prompt(tmp_path):
    command = [sys.executable, str(EXAMPLES / "custom_model.py")]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
