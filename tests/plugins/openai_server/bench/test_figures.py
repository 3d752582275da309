"""Figures against NumPy and by hand."""

import random
from itertools import islice

import numpy as np
import pytest

from jackfield_openai_server.bench.figures import figures_of, percentile
from jackfield_openai_server.bench.load import Trace
from jackfield_openai_server.bench.workload import gaps_s


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_percentiles_are_those_of_numpy(size):
    values = [random.Random(size).random() for _ in range(size)]

    for percent in (0, 50, 90, 99, 100):
        assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))


def test_times_are_told_from_sending_and_between_pieces():
    trace = Trace(10.0, [10.1, 10.2, 10.4], num_prompt_tokens=5, num_tokens=4)

    found = figures_of([trace], 2.0, {})

    assert found["ttft_ms"]["p50"] == pytest.approx(100)
    assert found["tpot_ms"]["p50"] == pytest.approx(100)  # 0.3 s for three tokens after the first
    assert found["itl_ms"]["mean"] == pytest.approx(150)
    assert found["e2el_ms"]["p99"] == pytest.approx(400)
    assert found["output_tokens_per_s"] == 2


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 20.0])
def test_gaps_have_the_rate_in_the_mean(burstiness):
    gaps = list(islice(gaps_s(8.0, burstiness, seed=1), 20_000))

    assert np.mean(gaps) == pytest.approx(1 / 8, rel=0.05)
    assert np.std(gaps) == pytest.approx(1 / 8 / burstiness**0.5, rel=0.05)
