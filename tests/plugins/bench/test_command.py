"""`jackfield bench` on the reference platform."""

import json

import pytest

from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

pytestmark = pytest.mark.core_model


@pytest.fixture
def words(tmp_path):
    settings = [
        word for key, name in REFERENCE_SETTINGS.items() for word in ("--set", f"{key}={name}")
    ]
    return [write_model(tmp_path / "model", max_length=512), *settings]


@pytest.mark.parametrize(
    ("benchmark", "figure"),
    [
        (("latency", "--input-tokens", 8, "--output-tokens", 8), "decode_tokens_per_s"),
        (("throughput", "--requests", 4, "--low", 4, "--high", 8), "output_tokens_per_s"),
        (("startup",), "first_token_s"),
    ],
)
def test_a_benchmark_reports_machine_versions_and_figures(
    jackfield, words, tmp_path, benchmark, figure
):
    kind, *sizes = benchmark
    file = tmp_path / "report.json"

    done = jackfield("bench", kind, *words, *sizes, "--repeats", 2, "--output", file)

    assert done.status == 0, done.err
    report = json.loads(file.read_text())
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["jackfield"]
    assert len(report["figures"][figure]["samples"]) == 2
    assert report["figures"][figure]["median"] > 0


@pytest.mark.thorough
def test_the_scheduler_benchmark_needs_no_model(jackfield, few_steps):
    done = jackfield("bench", "scheduler", "--repeats", 1)

    assert json.loads(done.out)["figures"]["one_group"]["step_us_at_256_rows"] > 0
