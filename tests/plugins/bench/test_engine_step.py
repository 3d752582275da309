import pytest

from jackfield_bench import engine_step


@pytest.mark.thorough
def test_a_step_of_the_engine_is_measured_in_each_way_of_reading(few_steps):
    figures = engine_step.measure_engine(repeats=2, tokenizer=None)

    ways = [f"{way}{queue}" for way in engine_step._WAYS for queue in ("", "_with_queue")]
    assert sorted(figures) == sorted([*ways, "rows", "queued"])
    for way in ways:
        thread, process = figures[way]["stepping_thread_us"], figures[way]["process_us"]
        assert len(thread["samples"]) == 2
        assert min(thread["min"], process["min"]) > 0
