import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.discovery.kinds import MODELS
from jackfield.errors import (
    CheckpointError,
    EngineClosedError,
    EngineError,
    PluginLoadError,
    WorkerError,
)
from jackfield.executor.multiprocess import MultiprocessExecutor, MultiprocessExecutorFactory
from jackfield.step import LateInputs, StepPlan, TokenMasks

pytestmark = pytest.mark.distributed


@pytest.fixture
def start(make_context, opened):
    def start_(num_ranks=2, **options):
        executor = opened(MultiprocessExecutor(make_context(num_ranks, **options)))
        executor.report = executor.start()
        executor.allocate((4,))
        return executor

    return start_


def wait_until(holds, timeout_s=10.0):
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.02)


def is_running(pid):
    """False for processes that ended, zombies included."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second if it ends while it is read
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def assert_all_ended(executor):
    """No process, no zombie, no thread."""
    wait_until(lambda: not any(map(is_running, executor.process_ids)))
    executor.close()
    for pid in executor.process_ids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    assert not [t for t in threading.enumerate() if t.name == "jackfield-ranks"]


def test_the_report_holds_for_all_ranks(start):
    report = start().report

    assert (report.cache_bytes, report.block_bytes) == (9000, (101,))
    assert (report.limits.max_rows, report.limits.max_step_tokens) == (8, 63)
    assert report.details["rendezvous"].startswith("tcp://127.0.0.1:")


@pytest.mark.parametrize("output_rank", [0, 1])
def test_results_come_from_the_output_rank(start, output_rank):
    executor = start(output_rank=output_rank)

    results = [executor.submit(StepPlan(step_id=number)) for number in range(3)]

    assert [future.result(10).token_ids for future in results] == [[output_rank, 1]] * 3


def test_a_step_is_done_when_the_slowest_rank_is(start):
    executor = start(rank=1, step1="sleep")

    future = executor.submit(StepPlan(step_id=0))

    with pytest.raises(TimeoutError):
        future.result(0.1)
    assert future.result(10).step_id == 0


def test_late_inputs_reach_all_ranks(start):
    executor = start()
    future = executor.submit(StepPlan(step_id=0, awaits_late=True))

    executor.sample(0, LateInputs(masks=TokenMasks([1], bytes(4))))

    assert future.result(10).token_ids == [1]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("raise", r"rank 1 \(process \d+\): the worker raised RuntimeError: scripted at step2"),
        ("raise_unpicklable", r"rank 1 .*Unpicklable: scripted"),
        ("exit", r"rank 1 .*SystemExit: 3"),
        (
            "vanish",
            r"rank 1 .* exited with status 5; it ran the worker of .*'scripted' of jackfield",
        ),
        ("vanish_before_its_child", r"rank 1 \(process \d+\) exited with status 5"),
        ("kill", r"rank 1 \(process \d+\) was killed by SIGKILL"),
    ],
)
def test_a_rank_that_fails_in_a_step_ends_all(start, action, words):
    executor = start(rank=1, step2=action)
    futures = [executor.submit(StepPlan(step_id=number)) for number in range(3)]

    assert futures[0].result(10).step_id == 0
    for future in futures[1:]:
        with pytest.raises(WorkerError, match=words) as caught:
            future.result(10)
    assert ("in _act" in caught.value.worker_traceback) == action.startswith(("raise", "exit"))
    with pytest.raises(WorkerError, match=words):
        executor.submit(StepPlan(step_id=9)).result(10)
    assert_all_ended(executor)


def test_a_rank_killed_from_outside_while_another_computes_ends_all(start):
    executor = start(rank=0, step1="hang")
    future = executor.submit(StepPlan(step_id=0))
    time.sleep(0.2)

    os.kill(executor.process_ids[1], signal.SIGKILL)

    with pytest.raises(WorkerError, match="rank 1 .*SIGKILL"):
        future.result(10)
    assert_all_ended(executor)


@pytest.mark.parametrize("event", ["create", "load", "allocate"])
@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        ("raise_on_purpose", CheckpointError, "model.bin: too short"),
        (
            "raise",
            (WorkerError, PluginLoadError),
            r"(?s)RuntimeError.*of jackfield|of jackfield.*RuntimeError",
        ),
        ("vanish", WorkerError, "rank 1 .*exited with status 5"),
    ],
)
def test_a_rank_that_fails_at_the_start_ends_all(make_context, opened, event, action, error, words):
    executor = opened(MultiprocessExecutor(make_context(2, rank=1, **{event: action})))

    def start():
        executor.start()
        executor.allocate((4,))

    with pytest.raises(error, match=words):
        start()

    assert_all_ended(executor)


def test_a_rank_that_hangs_at_the_start_is_ended_and_its_stack_told(make_context, opened):
    context = make_context(2, rank=1, load="hang", start_timeout_s=2.0)
    executor = opened(MultiprocessExecutor(context))

    began_s = time.monotonic()
    with pytest.raises(WorkerError, match=r"rank 1 .*did not load its weights.*2 s") as caught:
        executor.start()

    assert time.monotonic() - began_s < 8
    assert "rank 0" not in str(caught.value)
    assert "in load" in caught.value.worker_traceback
    assert_all_ended(executor)


def test_another_activation_plan_in_a_worker_is_refused(make_context, opened, monkeypatch):
    context = make_context(1)
    monkeypatch.setattr(type(context.activation), "digest", property(lambda self: "other digest"))

    with pytest.raises(WorkerError, match="other plugins than the parent"):
        opened(MultiprocessExecutor(context)).start()


def test_without_an_output_rank_it_does_not_start(make_context, opened):
    executor = opened(MultiprocessExecutor(make_context(2, output_rank=7)))

    with pytest.raises(EngineError, match="none of the 2 ranks"):
        executor.start()
    assert_all_ended(executor)


def test_close_closes_the_workers_and_reaps_their_processes(start, tmp_path):
    executor = start()

    began_s = time.monotonic()
    executor.close()
    executor.close()

    assert time.monotonic() - began_s < 5
    assert sorted(path.name for path in tmp_path.glob("closed*")) == ["closed0", "closed1"]
    assert_all_ended(executor)
    with pytest.raises(EngineClosedError):
        executor.submit(StepPlan(step_id=0)).result(5)


def test_close_ends_a_rank_that_hangs_in_a_step(start):
    executor = start(close_timeout_s=0.5, rank=1, step1="hang")
    future = executor.submit(StepPlan(step_id=0))

    began_s = time.monotonic()
    executor.close()

    assert time.monotonic() - began_s < 5
    with pytest.raises(EngineClosedError):
        future.result(1)
    assert_all_ended(executor)


def test_an_executor_that_never_started_can_be_closed(make_context):
    MultiprocessExecutor(make_context(2)).close()


def test_ranks_end_with_their_parent_even_while_they_compute(make_context, tmp_path):
    # The parent is a script without a main guard, killed so that nothing of it can clean up.
    script = textwrap.dedent(
        """
        import os, pickle, signal, sys
        from jackfield.executor.multiprocess import MultiprocessExecutor
        from jackfield.step import StepPlan
        sys.path.insert(0, sys.argv[2])
        context = pickle.load(open(sys.argv[1], "rb"))
        executor = MultiprocessExecutor(context)
        executor.start()
        executor.allocate((4,))
        executor.submit(StepPlan(step_id=0))
        print(*executor.process_ids, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    (tmp_path / "context").write_bytes(pickle.dumps(make_context(2, rank=1, step1="hang")))
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", script, str(tmp_path / "context"), folder]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    wait_until(lambda: not any(map(is_running, pids)))


def test_the_card_serves_several_ranks():
    assert "executor.num_ranks" in MultiprocessExecutorFactory().features


def test_an_error_of_the_worker_names_its_platform_and_the_way_out(start):
    executor = start(step1="raise")

    with pytest.raises(WorkerError) as caught:
        executor.submit(StepPlan(step_id=0)).result(10)

    assert "the platform 'scripted' of jackfield" in str(caught.value)
    assert 'plugins.deny = ["scripted@jackfield"]' in str(caught.value)


def test_what_a_worker_prints_is_not_mixed_with_the_answer(start, capfd):
    start(1, load="print")

    captured = capfd.readouterr()
    assert captured.out == ""
    assert "said by the worker" in captured.err


def test_a_spec_that_cannot_be_sent_names_the_model_plugin(make_context, opened):
    context = make_context(1)
    model = PluginRef(
        kind=MODELS, major=1, name="Tiny", distribution="acme", version="1", target="m:f"
    )
    plan = ActivationPlan(
        selections=(*context.activation.selections, Selection(subject="model", plugin=model))
    )
    spec = replace(context.spec, modules={"head": lambda: None})
    executor = opened(MultiprocessExecutor(replace(context, activation=plan, spec=spec)))

    with pytest.raises(PluginLoadError, match=r"(?s)the model 'Tiny' of acme 1.*pickle"):
        executor.start()
