import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jackfield_testing.models import write_model

EXAMPLES = Path(__file__).parents[2] / "examples"
MAX_LINES = 60
CONFIG = """
[select]
platform = "reference"
weight_format = "dummy"
"""


@pytest.fixture
def run_example(tmp_path):
    """Runs an example as a user does, with settings that put it on the reference platform."""

    def run(name):
        model = write_model(tmp_path / "model", max_length=2048)
        (tmp_path / "jackfield.toml").write_text(CONFIG)
        done = subprocess.run(
            [sys.executable, EXAMPLES / name, model],
            env={**os.environ, "JACKFIELD_CONFIG": str(tmp_path / "jackfield.toml")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.core_model
def test_offline_answers_the_right_prompts_and_says_what_is_wrong_with_the_other(run_example):
    text = run_example("offline.py")

    assert len(re.findall(r"-> '.*\((?:stop|length)\)", text)) == 3
    assert "'' failed: the prompt is empty" in text
    assert [f"[{index}] " in text for index in range(3)] == [True] * 3


@pytest.mark.core_model
def test_streaming_prints_pieces_and_hangs_up_on_one(run_example):
    lines = run_example("streaming.py").splitlines()

    questions = ["What is a jackfield?", "Why is the sky blue?", "Name a river."]
    pieces = [sum(line.startswith((f"{q} '", f'{q} "')) for line in lines) for q in questions]
    assert pieces == [48, 48, 4]


@pytest.mark.core_model
def test_prefix_sharing_finds_the_common_part_and_keeps_tenants_apart(run_example):
    cached = [
        int(word) for word in re.findall(r"(\d+) of \d+ prompt", run_example("prefix_sharing.py"))
    ]

    first, second, third, other_tenant = cached
    assert first == other_tenant == 0
    assert second > 400
    assert third > 400


def test_examples_are_short():
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}

    lengths.pop("demo.py", None)  # the program behind `make demo`
    assert [name for name, length in lengths.items() if length >= MAX_LINES] == []
