"""Workers that are forks of the engine's process. That process must have one thread, so each test starts a Python."""

import pickle
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from jackfield_testing.scripted import scripted_context

pytestmark = pytest.mark.distributed
FORK = {"executor.start_method": "fork"}


@pytest.fixture
def run(tmp_path):
    """Runs a script with a `context` of so many ranks; what it printed."""

    def run(script, num_ranks=2, **options):
        context = scripted_context(tmp_path, num_ranks, settings=FORK, **options)
        (tmp_path / "context").write_bytes(pickle.dumps(context))
        before = """
            import pickle, sys
            from pathlib import Path
            from jackfield.errors import WorkerError
            from jackfield.executor.multiprocess import MultiprocessExecutor
            from jackfield.step import StepPlan
            context = pickle.loads(Path(sys.argv[1]).read_bytes())
            """
        whole = textwrap.dedent(before) + textwrap.dedent(script)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", whole, str(tmp_path / "context")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@pytest.mark.thorough
def test_the_kit_of_executors_is_passed_with_forks(tmp_path):
    file = tmp_path / "test_forks.py"
    file.write_text(
        textwrap.dedent(
            f"""
            from jackfield_testing.conformance.executor import ExecutorKit

            class TestForks(ExecutorKit):
                name = "multiprocess"
                settings = {FORK}
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.returncode == 0, done.stdout
    assert " passed, 0 skipped, 0 expected failures, 0 failed  [" in done.stdout


def test_a_fork_takes_what_was_imported_along(run):
    script = """
        executor = MultiprocessExecutor(context)
        executor.launch()
        print(*(Path(f"/proc/{pid}/cmdline").read_bytes() == Path("/proc/self/cmdline").read_bytes() for pid in executor.process_ids))
        executor.close()
        """

    assert run(script).split() == ["True", "True"]


def test_another_activation_plan_in_a_fork_is_refused(run):
    script = """
        import jackfield.executor.multiprocess as multiprocess
        honest = multiprocess.Start
        multiprocess.Start = lambda context, digest, platform: honest(context, "0" * 64, platform)
        try:
            MultiprocessExecutor(context).start()
        except WorkerError as error:
            print(error)
        """

    assert "would run other plugins than the parent" in run(script)


def test_a_process_with_threads_is_not_forked(run):
    script = """
        import threading
        threading.Thread(target=threading.Event().wait, name="watcher", daemon=True).start()
        try:
            MultiprocessExecutor(context).launch()
        except WorkerError as error:
            print(error)
        """

    told = run(script)

    assert "1 other thread(s) run in this process (of Python: watcher)" in told
    assert 'executor.start_method = "spawn"' in told


def test_forks_end_with_their_parent(run):
    script = """
        import os, subprocess, sys, time
        executor = MultiprocessExecutor(context)
        executor.start()
        executor.allocate((4,))
        executor.submit(StepPlan(step_id=0))
        print(*executor.process_ids, flush=True)
        os._exit(0)
        """

    pids = run(script, rank=1, step1="hang").split()

    assert len(pids) == 2
    assert _have_ended(pids)


def test_a_second_engine_does_not_hold_the_first(run):
    script = """
        import os
        first, second = MultiprocessExecutor(context), MultiprocessExecutor(context)
        first.launch()
        second.launch()
        first.start()
        second.start()
        first.close()
        print("closed")
        second.allocate((4,))
        print(second.submit(StepPlan(step_id=3)).result(10).step_id)
        second.close()
        """

    assert run(script, num_ranks=1).split() == ["closed", "3"]


def _have_ended(pids, timeout_s=10.0):
    until_s = time.monotonic() + timeout_s
    while any(map(_is_running, pids)):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.02)
    return True


def _is_running(pid):
    """False for processes that ended, zombies included."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
