"""How a degree of parallelism becomes processes, and what each worker learns of its place."""

import pytest

from jackfield import LLM, SamplingParams
from jackfield.interfaces.platform import RankShape
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model
from jackfield_testing.platform import ReferencePlatform
from jackfield_testing.worker import ReferenceWorker


class ToldWorker(ReferenceWorker):
    """Says in its report where it stands."""

    def load(self):
        context = self._context
        report = super().load()
        place = f"{context.rank}/{context.num_ranks} {context.stage}/{context.num_stages}"
        report.details["place"] = f"{place} local {context.local_rank} drives {context.devices}"
        return report


class PairPlatform(ReferencePlatform):
    """Each process drives two devices."""

    def rank_shape(self, tensor_parallel, facts):
        return RankShape(processes=max(1, tensor_parallel // 2), devices=2, resource="PAIR")

    def create_worker(self, context):
        return ToldWorker(context)


@pytest.fixture
def place_of(tmp_path):
    """Opens an engine with these settings, has it answer, and gives the place of its output rank."""
    write_model(tmp_path / "tiny")

    def place_of(**settings):
        settings = {
            **REFERENCE_SETTINGS,
            "select.platform": "pair",
            **{f"executor.{key}": value for key, value in settings.items()},
        }
        plugins = [f"platforms.pair={__name__}:PairPlatform"]
        with LLM(str(tmp_path / "tiny"), settings=settings, plugins=plugins) as llm:
            (output,) = llm.generate(["a"], SamplingParams(max_tokens=4, ignore_eos=True))
            assert len(output.outputs[0].token_ids) == 4
            chosen = {d.kind: d.chosen for d in llm.decisions}["executors"]
            return llm.engine._state.parts.report.details["place"], chosen

    return place_of


def test_a_degree_is_no_number_of_processes(place_of):
    assert place_of(tensor_parallel=2) == ("0/1 0/1 local 0 drives 2", "inline")


def test_stages_and_ranks_are_processes_that_know_their_place(place_of):
    place, executor = place_of(tensor_parallel=4, pipeline_parallel=2)

    assert (place, executor) == ("0/2 1/2 local 2 drives 2", "multiprocess")
