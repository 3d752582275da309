"""The part of the kit of platforms on order, and on resources that are taken and given back."""

from __future__ import annotations

import gc
import os
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from jackfield.discovery.kinds import EXECUTORS
from jackfield.interfaces.platform import Platform, PlatformNeed
from jackfield.interfaces.worker import Worker
from jackfield.sampling import SamplingParams
from jackfield.step import BlockCopy, StepPlan, StepResult
from jackfield_testing.conformance.platform_runs import (
    GREEDY,
    PlatformRuns,
    answer,
    check_answers,
    distance,
    next_logprobs,
)
from jackfield_testing.models import tiny_spec

_RANKED = "multiprocess"  # the core's own executor of several ranks
_MANY = 10  # rows
_SHORT = replace(GREEDY, max_tokens=3)
_IDLE_S = 0.7
_LEAK_BYTES = 32 << 20  # allocators of a host keep some megabytes; a repeated leak is larger
# More than a second engine with a cache of a few kilobytes needs.
_SMALL_BYTES = 64 << 20


class ResourceTests(PlatformRuns):
    """If the device's memory is not the host's, override `used_bytes`."""

    def used_bytes(self) -> int:
        """Bytes that the platform holds: memory of this process, unless a device overrides this method.

        With torch: `return torch.cuda.memory_allocated()`.
        """
        statm = Path("/proc/self/statm")
        if not statm.exists():
            self.not_shown("this system does not say how much memory is used: override used_bytes")
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def settled_bytes(self) -> int:
        """The same, after objects that are no longer needed were dropped."""
        gc.collect()
        return self.used_bytes()

    def test_many_rows_are_answered_as_each_alone(self, tmp_path: Path) -> None:
        """There are more rows than in the smallest shapes that a device may have ready."""
        size = self.block_size
        prompts = [[n + 1, *range(3, 3 + n * size)] for n in range(_MANY)]
        prompts = [[token_id % 250 for token_id in prompt] for prompt in prompts]
        with self.open(tmp_path) as llm:
            alone = [answer(llm, [prompt], _SHORT)[0] for prompt in prompts]
            check_answers(answer(llm, prompts, _SHORT), alone, prompts, {"rows": _MANY})

    def test_the_first_token_of_a_long_prompt_counts(self, tmp_path: Path) -> None:
        """The prompt is 24 blocks long."""
        rest = [3 + place % 200 for place in range(24 * self.block_size)]
        with self.open(tmp_path) as llm:
            first, second = (next_logprobs(llm, [token_id, *rest]) for token_id in (100, 101))
        assert distance(first, second) > 1e-9

    def test_outputs_of_one_prompt_copy_the_block_in_which_they_part(
        self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise equal answers would prove nothing about copies."""
        copies: list[BlockCopy] = []

        def watch(worker: Worker) -> None:
            submit = worker.submit

            def watched(plan: StepPlan) -> Future[StepResult]:
                copies.extend(plan.copies)
                return submit(plan)

            worker.submit = watched  # type: ignore[method-assign]

        changed = self.change_workers(monkeypatch, type(card), watch)
        params = SamplingParams(n=3, max_tokens=10, temperature=5.0, seed=1, ignore_eos=True)
        with self.open(tmp_path, {"cache.prefix_caching": False}) as llm:
            self.require_reached(changed)
            llm.generate([self.prompts[1]], params)
        if not copies:
            self.not_shown("no block that outputs shared had to be copied")

    def test_an_idle_engine_goes_on(self, tmp_path: Path) -> None:
        """It goes on as if it had not been idle."""
        with self.open(tmp_path) as llm:
            first = answer(llm, self.prompts, GREEDY)
            time.sleep(_IDLE_S)
            check_answers(answer(llm, self.prompts, GREEDY), first, self.prompts, {"idle": True})

    def test_two_engines_at_once(self, tmp_path: Path) -> None:
        """Both run in one process and take turns."""
        folders = [tmp_path / "one", tmp_path / "other"]
        for folder in folders:
            folder.mkdir()
        with self.open(folders[0]) as one, self.open(folders[1]) as other:
            first = answer(one, self.prompts, GREEDY)
            assert answer(other, self.prompts, GREEDY) == first
            assert answer(one, self.prompts, GREEDY) == first

    def test_two_ranks_give_the_answers_of_one(self, tmp_path: Path) -> None:
        """Skipped if the platform does not serve two ranks, or if they cannot be started here."""
        self.require(PlatformNeed(model=tiny_spec(), dtype=self.dtype, num_ranks=2))
        if not any(ref.name == _RANKED for ref in self.registry().refs(EXECUTORS)):
            self.not_shown(f"there is no executor {_RANKED}")
        ranks = {"select.executor": _RANKED, "executor.tensor_parallel": 2}
        with self.open(tmp_path) as llm:
            expected = answer(llm, self.prompts, GREEDY)
        with self.open(tmp_path, ranks) as llm:
            check_answers(answer(llm, self.prompts, GREEDY), expected, self.prompts, ranks)

    @pytest.mark.parametrize("depth", [2, 3])
    def test_results_resolve_in_order(
        self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
    ) -> None:
        """The order is that of submission, with as many steps in flight as allowed."""
        submitted: list[int] = []
        resolved: list[int] = []

        def watch(worker: Worker) -> None:
            submit = worker.submit

            def watched(plan: StepPlan) -> Future[StepResult]:
                future = submit(plan)
                submitted.append(plan.step_id)
                future.add_done_callback(lambda _: resolved.append(plan.step_id))
                return future

            worker.submit = watched  # type: ignore[method-assign]

        changed = self.change_workers(monkeypatch, type(card), watch)
        with self.open(tmp_path, {"executor.depth": depth}) as llm:
            self.require_reached(changed)
            answer(llm, self.prompts, GREEDY)
        assert len(submitted) > 1
        assert resolved == submitted

    @pytest.mark.parametrize("method", ["load", "allocate"])
    def test_a_worker_that_cannot_start_can_be_closed(
        self,
        card: Platform,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        method: str,
    ) -> None:
        """`close` must not fail on parts that were never made; an engine logs an error of `close`."""

        def fail(*_: object) -> None:
            raise RuntimeError("the kit's own fault")

        changed = self.change_workers(
            monkeypatch, type(card), lambda worker: setattr(worker, method, fail)
        )
        error = None
        try:
            self.open(tmp_path).close()
        except Exception as raised:
            error = raised
        self.require_reached(changed)
        assert "the kit's own fault" in str(error)
        complaints = [text for text in map(str, caplog.messages) if "while it was closed" in text]
        assert complaints == [], caplog.text

    def test_requests_leave_no_memory(self, tmp_path: Path) -> None:
        """After some requests to warm up, as many further requests take no memory."""
        with self.open(tmp_path) as llm:
            for _ in range(4):
                answer(llm, self.prompts * 4, _SHORT)
            before = self.settled_bytes()
            for _ in range(4):
                answer(llm, self.prompts * 4, _SHORT)
            grown = self.settled_bytes() - before
        assert grown < _LEAK_BYTES, f"64 requests left {grown} bytes behind"

    def test_engines_leave_no_memory(self, tmp_path: Path) -> None:
        """After some engines to warm up, as many further engines take no memory when they are closed."""
        for _ in range(3):
            self.open_and_close(tmp_path)
        before = self.settled_bytes()
        for _ in range(3):
            self.open_and_close(tmp_path)
        grown = self.settled_bytes() - before
        assert grown < _LEAK_BYTES, f"3 engines left {grown} bytes behind"

    def open_and_close(self, folder: Path) -> None:
        """Open an engine, run a few steps, and close it."""
        with self.open(folder) as llm:
            answer(llm, self.prompts, GREEDY)

    def test_an_engine_takes_no_more_than_its_blocks_need(self, tmp_path: Path) -> None:
        """It makes as many blocks as it was told, and not all that it had offered."""
        self.open_and_close(tmp_path)
        before = self.settled_bytes()
        with self.open(tmp_path, {"cache.num_blocks": 40}) as llm:
            answer(llm, [[1, 2, 3]], GREEDY)
            grown = self.settled_bytes() - before
        assert grown < _SMALL_BYTES, f"an engine of 40 small blocks took {grown} bytes"
