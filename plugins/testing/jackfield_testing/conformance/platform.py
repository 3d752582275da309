"""The kit of platforms: a whole engine on a tiny model, whose answers may not depend on the schedule."""

from __future__ import annotations

import gc
import json
import math
import threading
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jackfield.client import LLM
from jackfield.config import load_config
from jackfield.discovery.kinds import MODELS, PLATFORMS
from jackfield.errors import EngineClosedError, EngineError
from jackfield.interfaces.platform import Platform, PlatformNeed
from jackfield.interfaces.worker import Worker
from jackfield.sampling import SamplingParams
from jackfield.step import StepPlan, StepResult
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.conformance.platform_resources import ResourceTests
from jackfield_testing.conformance.platform_runs import GREEDY as _GREEDY
from jackfield_testing.conformance.platform_runs import (
    LOGPROB_ERROR,
    MAX_BLOCKS,
    answer,
    check_answers,
    distance,
    entries,
    logprobs,
    next_logprobs,
    settled,
)
from jackfield_testing.conformance.platform_runs import RANDOM as _RANDOM
from jackfield_testing.conformance.platform_sampling import SamplingTests
from jackfield_testing.models import tiny_spec
from jackfield_testing.tokenizer import VOCAB_SIZE, write_byte_tokenizer

_ARCHITECTURE = "LlamaForCausalLM"
_CONFIG = {
    "architectures": [_ARCHITECTURE],
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "torch_dtype": "float32",
}
_SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    # Prompts are several blocks of four tokens long.
    "in small pieces": {"scheduler.max_step_tokens": 7},
    "one at a time": {"scheduler.max_rows": 1},
    # All prompts are admitted, and the first one that needs a further block finds none.
    "starting again": {"cache.num_blocks": 25, "scheduler.watermark": 0.0},
    "without sharing": {"cache.prefix_caching": False},
    "one step in flight": {"executor.depth": 1},
    "three steps in flight": {"executor.depth": 3},
}
_ROUNDS = 2  # times that the same prompts are given; in the second round, prefixes are in the cache

Change = Callable[[Worker], object]
"""What a test does to a worker that was just made."""


class PlatformKit(SamplingTests, ResourceTests, CardKit):
    """A third party's test file names the entry point: `name = "mine"`.

    The model is Llama-shaped, with weights from the weight format `dummy`. A platform that does not run such a model
    overrides `write_model`. A platform that does not compute in float32 sets `dtype`, and expects failures in tests
    whose sums differ between batches.
    """

    kind = PLATFORMS
    dtype: ClassVar[str] = "float32"
    # "section.key" of every engine, applied after the kit's own.
    settings: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def needs(self) -> tuple[PlatformNeed, ...]:
        """A model that the platform may run, on one rank and on a thousand."""
        spec = tiny_spec()
        return tuple(PlatformNeed(model=spec, dtype=self.dtype, num_ranks=n) for n in (1, 1000))

    def write_model(self, folder: Path) -> None:
        """Write config and tokenizer to `folder`."""
        if not any(ref.name == _ARCHITECTURE for ref in self.registry().refs(MODELS)):
            self.not_shown(
                f"no plugin of the model {_ARCHITECTURE} is installed: pip install jackfield-llama"
            )
        config = {**_CONFIG, "max_position_embeddings": MAX_BLOCKS * self.block_size}
        (folder / "config.json").write_text(json.dumps(config))
        write_byte_tokenizer(folder)

    def open(self, folder: Path, settings: Mapping[str, Any] | None = None) -> LLM:
        """An engine on this platform, in this process. Skips the test if the platform refuses."""
        self.facts()
        if type(self).write_model is PlatformKit.write_model:
            self.require(PlatformNeed(model=tiny_spec(), dtype=self.dtype))
        self.write_model(folder)
        return LLM(
            str(folder),
            plugins=self.plugins,
            settings={
                "select.platform": self.name,
                "select.weight_format": "dummy",
                "select.executor": "inline",
                "model.dtype": self.dtype,
                "cache.block_size": self.block_size,
                "cache.num_blocks": 200,
                **self.settings,
                **(settings or {}),
            },
        )

    # Its answers

    @pytest.mark.parametrize("params", [_GREEDY, _RANDOM], ids=["greedy", "drawn"])
    @pytest.mark.parametrize("schedule", _SCHEDULES)
    def test_answers_do_not_depend_on_the_schedule(
        self, tmp_path: Path, schedule: str, params: SamplingParams
    ) -> None:
        """The tokens are equal in one piece or several, alone or together, with cached prefixes or without."""
        prompts, settings = self.prompts, self.settings_of(schedule)
        with self.open(tmp_path) as llm:
            expected = [answer(llm, [prompt], params)[0] for prompt in prompts]
        with self.open(tmp_path, settings) as llm:
            for _ in range(_ROUNDS):
                check_answers(answer(llm, prompts, params), expected, prompts, settings)
            stats = llm.engine.stats.scheduler
        if schedule == "starting again" and not stats.num_preemptions:
            self.not_shown("no request had to make room for another")
        if schedule == "as it is" and not stats.num_cached_tokens:
            self.not_shown("no prompt was found in the cache")

    def settings_of(self, schedule: str) -> Mapping[str, Any]:
        """The settings of a schedule, for blocks of this size."""
        settings = dict(_SCHEDULES[schedule])
        if "scheduler.max_step_tokens" in settings:
            settings["scheduler.max_step_tokens"] *= max(1, self.block_size // 4)
        if "cache.num_blocks" in settings:
            settings["model.max_length"] = 20 * self.block_size
        return settings

    def test_other_prompts_have_other_answers(self, tmp_path: Path) -> None:
        """Otherwise equal answers would prove nothing."""
        with self.open(tmp_path) as llm:
            assert len({tuple(tokens) for tokens in answer(llm, self.prompts, _RANDOM)}) > 1

    def test_every_token_of_a_prompt_counts(self, tmp_path: Path) -> None:
        """The distribution of the next token changes if the first of fifty tokens changes."""
        prompts = [[3, *range(40, 90)], [4, *range(40, 90)]]
        with self.open(tmp_path) as llm:
            first, second = (next_logprobs(llm, prompt) for prompt in prompts)
        assert distance(first, second) > 1e-9

    def test_a_seed_repeats_its_answer_and_another_does_not(self, tmp_path: Path) -> None:
        """The distribution is flat, so that equal answers are no accident."""
        seeds = [
            SamplingParams(max_tokens=24, temperature=5.0, seed=seed, ignore_eos=True)
            for seed in (1, 2)
        ]
        with self.open(tmp_path) as llm:
            first, second = (answer(llm, [[1, 2, 3]], params) for params in seeds)
            assert answer(llm, [[1, 2, 3]], seeds[0]) == first
        assert first != second

    def test_outputs_of_one_prompt_go_their_own_ways(self, tmp_path: Path) -> None:
        """They share the prompt's cache up to the block in which they part; then each sees its own tokens."""
        params = SamplingParams(
            n=3, max_tokens=10, temperature=5.0, seed=1, ignore_eos=True, logprobs=VOCAB_SIZE
        )
        with self.open(tmp_path, {"cache.prefix_caching": False}) as llm:
            (output,) = llm.generate([self.prompts[1]], params)
            assert len({tuple(one.token_ids) for one in output.outputs}) == params.n
            for one in output.outputs:
                *seen, _ = one.token_ids
                alone = next_logprobs(llm, [*self.prompts[1], *seen])
                assert distance(logprobs(entries(one)[-1]), alone) <= LOGPROB_ERROR

    def test_a_stop_token_ends_an_answer(self, tmp_path: Path) -> None:
        """The answer ends at the first such token, however many steps are in flight."""
        with self.open(tmp_path) as llm:
            (whole,) = answer(llm, [self.prompts[1]], _RANDOM)
            stop = whole[len(whole) // 2]
            params = SamplingParams(
                max_tokens=12, temperature=0.9, seed=7, ignore_eos=True, stop_token_ids=(stop,)
            )
            (stopped,) = answer(llm, [self.prompts[1]], params)
        assert stopped == whole[: whole.index(stop) + 1]

    def test_log_probabilities_are_those_of_a_distribution(self, tmp_path: Path) -> None:
        """Over the whole vocabulary their probabilities sum to one, and greedy drawing takes the largest."""
        with self.open(tmp_path) as llm:
            params = SamplingParams(
                max_tokens=6, temperature=0.0, ignore_eos=True, logprobs=VOCAB_SIZE
            )
            (output,) = llm.generate([self.prompts[1]], params)
        for token_id, entry in zip(
            output.outputs[0].token_ids, entries(output.outputs[0]), strict=True
        ):
            assert math.isclose(math.fsum(map(math.exp, entry.top_logprobs)), 1, abs_tol=1e-3)
            assert list(entry.top_logprobs) == sorted(entry.top_logprobs, reverse=True)
            assert entry.logprob == max(entry.top_logprobs), f"{token_id} is not the most likely"

    def test_log_probabilities_do_not_depend_on_the_batch(self, tmp_path: Path) -> None:
        """They are equal alone and in a batch, for prompts in pieces and for whole prompts."""
        params = SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True, logprobs=1)
        with self.open(tmp_path) as llm:
            alone = [llm.generate([prompt], params)[0] for prompt in self.prompts]
        with self.open(tmp_path, {"scheduler.max_step_tokens": 7}) as llm:
            together = llm.generate([*self.prompts], params)
        for one, other in zip(alone, together, strict=True):
            pairs = zip(entries(one.outputs[0]), entries(other.outputs[0]), strict=True)
            for mine, theirs in pairs:
                assert abs(mine.logprob - theirs.logprob) <= LOGPROB_ERROR

    # Its robustness

    def test_a_request_that_is_withdrawn_leaves_no_trace(self, tmp_path: Path) -> None:
        """It is withdrawn in the middle of its answer. Then all blocks are free for others, whose answers are right."""
        small, size = self.settings_of("starting again"), self.block_size
        with self.open(tmp_path) as llm:
            expected = answer(llm, self.prompts, _GREEDY)
        with self.open(tmp_path, small) as llm:
            for _ in range(4):
                stream = llm.stream(
                    [list(self.prompts[1])], SamplingParams(max_tokens=2 * size, ignore_eos=True)
                )
                next(stream)
                assert isinstance(stream, Generator)  # typed as Iterator, but it can be closed
                stream.close()
            assert answer(llm, self.prompts, _GREEDY) == expected

    def test_a_bad_request_ends_alone(self, tmp_path: Path) -> None:
        """The bad request is too long, and stands among others."""
        with self.open(tmp_path) as llm:
            bad, good = llm.generate([[1] * 1000, self.prompts[0]], _GREEDY)
        assert bad.outputs[0].finish_reason == "error"
        assert len(good.outputs[0].token_ids) == _GREEDY.max_tokens

    @pytest.mark.parametrize("step", [0, 3])
    def test_a_worker_that_fails_ends_the_engine(
        self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """The error has the worker's own words and comes at once; the next engine works."""
        self.open(tmp_path).close()  # the first engine starts threads that stay for good
        threads = threading.active_count()
        with monkeypatch.context() as patch:
            changed = self.change_workers(patch, type(card), lambda one: _fail_at(one, step))
            with self.open(tmp_path) as llm:
                self.require_reached(changed)
                with pytest.raises(EngineError, match="the kit's own fault"):
                    llm.generate([*self.prompts], _GREEDY)
        assert settled(lambda: threading.active_count() <= threads), "threads live on"
        with self.open(tmp_path) as llm:
            assert len(answer(llm, self.prompts, _GREEDY)) == len(self.prompts)

    # What is left after it

    def test_closing_twice_is_closing(self, tmp_path: Path) -> None:
        """A closed engine reports that it is closed."""
        llm = self.open(tmp_path)
        llm.close()
        llm.close()
        with pytest.raises(EngineClosedError):
            llm.generate([[1]], _GREEDY)

    def test_a_closed_engine_gives_all_back(
        self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No worker lives on with its weights and cache, and no thread."""
        with self.open(
            tmp_path
        ) as llm:  # the first engine makes pools of libraries that stay for good
            answer(llm, self.prompts, _GREEDY)
        threads = threading.active_count()
        workers: list[weakref.ref[Worker]] = []
        changed = self.change_workers(
            monkeypatch, type(card), lambda worker: workers.append(weakref.ref(worker))
        )
        for _ in range(3):
            with self.open(tmp_path) as llm:
                answer(llm, self.prompts, _GREEDY)
        del llm
        self.require_reached(changed)
        assert len(workers) == 3
        assert settled(lambda: not _num_alive(workers)), (
            f"{_num_alive(workers)} of 3 workers live on after their engines were closed"
        )
        assert settled(lambda: threading.active_count() <= threads), "threads live on"

    # Its statements

    def test_free_memory_is_looked_for_in_every_process(self, card: Platform) -> None:
        """Facts are kept while the installation does not change, so `available_bytes` would be that of another day."""
        if "available_bytes" in self.facts():
            assert not card.facts_last, "a card that finds available_bytes says facts_last = False"

    def test_its_defaults_are_settings(self, card: Platform) -> None:
        """Each default is an existing setting with an allowed value."""
        load_config(environ={}).with_platform_defaults(self.name, card.defaults(self.facts()))

    def test_its_choices_are_pure(self, card: Platform) -> None:
        """Equal needs give equal choices."""
        config, facts = load_config(environ={}).config, self.facts()
        first = card.choices(tiny_spec(), config, facts)
        assert card.choices(tiny_spec(), config, facts) == first

    def test_its_report_can_be_planned_with(
        self, card: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every group has blocks of some size, and there is memory for one block of each."""
        reports: list[Any] = []
        changed = self.change_workers(
            monkeypatch, type(card), lambda worker: _watch(worker, "load", reports)
        )
        with self.open(tmp_path) as llm:
            limits = llm.config.scheduler
        self.require_reached(changed)
        (report,) = reports
        assert len(report.groups) == len(report.block_bytes) > 0
        assert all(size > 0 for size in report.block_bytes)
        assert report.cache_bytes >= sum(report.block_bytes)
        assert 0 < report.limits.max_rows <= limits.max_rows
        assert 0 < report.limits.max_step_tokens <= limits.max_step_tokens


def _num_alive(workers: Sequence[weakref.ref[Worker]]) -> int:
    gc.collect()
    return sum(worker() is not None for worker in workers)


def _watch(worker: Worker, name: str, results: list[Any]) -> None:
    method = getattr(worker, name)

    def watched(*args: Any) -> Any:
        results.append(method(*args))
        return results[-1]

    setattr(worker, name, watched)


def _fail_at(worker: Worker, step: int) -> None:
    submit, numbers = worker.submit, iter(range(1_000_000))

    def fail(plan: StepPlan) -> Future[StepResult]:
        if next(numbers) == step:
            raise RuntimeError("the kit's own fault")
        return submit(plan)

    worker.submit = fail  # type: ignore[method-assign]
