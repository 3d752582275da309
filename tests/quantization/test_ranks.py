"""Quantized linears that two gloo processes share give the logits of linears that nobody shares."""

import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
import torch

from jackfield_torch.tensor_parallel import SingleRank

pytestmark = [pytest.mark.distributed, pytest.mark.cpu_model]
PROGRAM = Path(__file__).with_name("scheme_rank.py")
scheme_rank = run_path(str(PROGRAM))
NUM_RANKS = 2


@pytest.fixture(scope="module")
def logits_of_ranks(checkpoints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    outputs = [folder / f"logits_{rank}.pt" for rank in range(NUM_RANKS)]
    rendezvous = f"file://{folder}/rendezvous"
    arguments = [[rank, NUM_RANKS, rendezvous, output] for rank, output in enumerate(outputs)]
    ranks = [
        subprocess.Popen([sys.executable, str(PROGRAM), *map(str, words)]) for words in arguments
    ]
    try:
        assert [rank.wait(timeout=300) for rank in ranks] == [0] * NUM_RANKS
    finally:
        for rank in ranks:
            rank.kill()
    return [torch.load(output) for output in outputs]


@pytest.mark.parametrize("case", scheme_rank["CASES"])
def test_ranks_together_compute_what_one_computes_alone(case, logits_of_ranks):
    alone = scheme_rank["run"](case, SingleRank())

    for shared in logits_of_ranks:
        assert (shared[case] - alone).abs().max() < 1e-5 * alone.abs().max()
