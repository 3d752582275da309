"""The kit of scheduling policies: keys can be ordered, no request is forgotten, and answers do not change."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, product
from pathlib import Path

import pytest

from jackfield.client import LLM
from jackfield.discovery.kinds import SCHEDULERS
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.sampling import SamplingParams
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

# Blocks for about two of the requests below, so that running requests are preempted.
_POOL = {
    "model.max_length": 40,
    "cache.num_blocks": 12,
    "cache.block_size": 4,
    "scheduler.max_rows": 4,
}
# Numbers at which a counter of few digits or bits would begin again.
_ARRIVALS = (0, 1, 999, 65_535, 2**31 - 1)
_MANY_LATER = (1_000_003, 2**31 + 11)  # arrivals that no round number divides
_OTHERS = ("another", "z", "0")  # names of later requests
_KEY_S = 1e-3  # most time for a key; keys of the core take microseconds
_NUM_TIMED = 15  # keys whose median counts, since a busy machine may delay some
_LATER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Queued:
    """A request as a policy sees it. It cannot be changed, since a policy only reads."""

    request_id: str = "request"
    priority: int = 0
    arrival: int = 0
    num_prompt_tokens: int = 16
    num_output_tokens: int = 0
    salt: str = ""
    turn: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """A request to a whole engine."""

    prompt: tuple[int, ...]
    num_outputs: int
    priority: int
    salt: str


JOBS = tuple(
    Job(
        prompt=tuple((number * 7 + place) % 90 + 1 for place in range(3 + number % 9)),
        num_outputs=4 + number * 5 % 17,
        priority=number % 3 - 1,
        salt="tenant" if number % 4 == 0 else "",
    )
    for number in range(16)
)


def answer(llm: LLM, jobs: Sequence[Job]) -> list[tuple[int, ...]]:
    """The tokens of all jobs, which are given to the engine at once."""
    outputs = llm.generate(
        [list(job.prompt) for job in jobs],
        [
            SamplingParams(max_tokens=job.num_outputs, temperature=0.0, ignore_eos=True)
            for job in jobs
        ],
        priority=[job.priority for job in jobs],
        cache_salt=[job.salt for job in jobs],
    )
    return [tuple(output.outputs[0].token_ids) for output in outputs]


def queued_requests() -> Iterator[Queued]:
    """All combinations of the properties in which requests may differ."""
    mixtures = product((-3, 0, 7), _ARRIVALS, (1, 4_000), (0, 900), ("", "tenant"))
    for number, (priority, arrival, prompt, output, salt) in enumerate(mixtures):
        yield Queued(f"request-{number}", priority, arrival, prompt, output, salt)


def much_later() -> Iterator[tuple[Queued, Queued]]:
    """Each request with some similar requests that arrive long after it, under other names."""
    for request, distance, name in product(queued_requests(), _MANY_LATER, _OTHERS):
        yield request, replace(request, request_id=name, arrival=request.arrival + distance)


class SchedulingPolicyKit(CardKit):
    """A third party's test file names the entry point: `name = "mine"`."""

    kind = SCHEDULERS

    @pytest.fixture
    def needs(self) -> tuple[None]:
        """A policy is not chosen for a request."""
        return (None,)

    @pytest.mark.parametrize("key", ["admission_key", "preemption_key"])
    def test_keys_are_tuples_of_finite_numbers(self, card: SchedulingPolicy, key: str) -> None:
        """The requests combine all priorities, arrivals, lengths and tenants."""
        for request in queued_requests():
            made = getattr(card, key)(request)
            assert isinstance(made, tuple), f"{key} of {request} is {made!r}, not a tuple"
            assert made, f"{key} of {request} is empty"
            numbers = [part for part in made if isinstance(part, (int, float))]
            assert len(numbers) == len(made), f"{key} of {request} is {made!r}, not numbers"
            assert all(map(math.isfinite, numbers)), f"{key} of {request} is {made!r}, not finite"

    @pytest.mark.parametrize("key", ["admission_key", "preemption_key"])
    def test_keys_can_be_ordered(self, card: SchedulingPolicy, key: str) -> None:
        """All keys have equally many parts, so that each part means the same for every request."""
        lengths = {len(getattr(card, key)(request)) for request in queued_requests()}
        assert len(lengths) == 1, f"{key} yields tuples of {sorted(lengths)} parts"

    @pytest.mark.parametrize("key", ["admission_key", "preemption_key"])
    def test_a_request_that_did_not_change_keeps_its_key(
        self, card: SchedulingPolicy, key: str
    ) -> None:
        """The queue compares keys that were made at different times."""
        make = getattr(card, key)
        first = [make(request) for request in queued_requests()]
        assert [make(request) for request in queued_requests()] == first

    @pytest.mark.parametrize("key", ["admission_key", "preemption_key"])
    def test_keys_do_not_move_with_the_clock(
        self, card: SchedulingPolicy, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A key that was made an hour ago is compared with a key that is made now."""
        make = getattr(card, key)
        first = [make(request) for request in queued_requests()]
        for clock in ("time", "monotonic", "perf_counter"):
            monkeypatch.setattr(time, clock, partial(_ahead, getattr(time, clock)))
        assert [make(request) for request in queued_requests()] == first

    @pytest.mark.parametrize("key", ["admission_key", "preemption_key"])
    def test_keys_are_made_quickly(self, card: SchedulingPolicy, key: str) -> None:
        """Keys are made in the engine's own loop, between two steps: no file, no network, no lock."""
        assert statistics.median(_durations_s(card, key)) < _KEY_S

    def test_later_requests_of_the_same_sort_do_not_starve_one(
        self, card: SchedulingPolicy
    ) -> None:
        """Of two requests that differ only in arrival and name, the earlier one is admitted if the other is late enough."""
        for request, later in much_later():
            earlier_key, later_key = card.admission_key(request), card.admission_key(later)
            assert earlier_key <= later_key, f"{later} is admitted before {request}, for ever"

    def test_a_request_that_made_room_is_not_behind_all_that_come(
        self, card: SchedulingPolicy
    ) -> None:
        """It has drawn tokens. Similar new requests, which have drawn none, may pass it only for some time."""
        for request, later in much_later():
            new = replace(later, num_output_tokens=0)
            assert card.admission_key(request) <= card.admission_key(new), (
                f"{new} is admitted before {request}, which made room, for ever"
            )

    def test_the_oldest_of_a_sort_does_not_make_room_for_all_that_come(
        self, card: SchedulingPolicy
    ) -> None:
        """Otherwise it would be computed again and again, and never end."""
        for request, later in much_later():
            earlier_key, later_key = card.preemption_key(request), card.preemption_key(later)
            assert earlier_key <= later_key, f"{request} makes room for {later}, for ever"

    def test_every_request_ends_while_memory_is_short(self, tmp_path: Path) -> None:
        """In a whole engine that preempts requests, with mixed priorities and lengths."""
        with self.open(tmp_path) as llm:
            lengths = [len(tokens) for tokens in answer(llm, JOBS)]
        assert lengths == [job.num_outputs for job in JOBS]

    def test_answers_do_not_depend_on_the_policy(self, tmp_path: Path) -> None:
        """Waiting decides when a token is drawn, never which token: answers in a batch equal those of single requests."""
        with self.open(tmp_path) as llm:
            together = answer(llm, JOBS)
            alone = [answer(llm, [job])[0] for job in JOBS]
        assert together == alone

    def open(self, folder: Path) -> LLM:
        """An engine of the reference platform with this policy, and with a pool that is too small for all requests."""
        self.require(None)
        write_model(folder)
        settings = {**REFERENCE_SETTINGS, **_POOL, "select.scheduler": self.name}
        return LLM(str(folder), settings=settings, plugins=self.plugins)


def _durations_s(card: SchedulingPolicy, key: str) -> Iterator[float]:
    make = getattr(card, key)
    for request in islice(queued_requests(), _NUM_TIMED):
        begun = time.perf_counter()
        make(request)
        yield time.perf_counter() - begun


def _ahead(clock: Callable[[], float]) -> float:
    return clock() + _LATER_S
