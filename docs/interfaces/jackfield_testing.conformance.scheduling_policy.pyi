# Part of: jackfield_testing 0.1
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import pytest
from jackfield.client import LLM
from jackfield.discovery.kinds import SCHEDULERS
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield_testing.conformance.card import CardKit
@dataclass(frozen=True, slots=True)
class Queued:
    request_id: str = 'request'
    priority: int = 0
    arrival: int = 0
    num_prompt_tokens: int = 16
    num_output_tokens: int = 0
    salt: str = ''
    turn: float = 0.0
@dataclass(frozen=True, slots=True)
class Job:
    prompt: tuple[int, ...]
    num_outputs: int
    priority: int
    salt: str
JOBS = ...
def answer(llm: LLM, jobs: Sequence[Job]) -> list[tuple[int, ...]]:
    ...
def queued_requests() -> Iterator[Queued]:
    ...
def much_later() -> Iterator[tuple[Queued, Queued]]:
    ...
class SchedulingPolicyKit(CardKit):
    kind = SCHEDULERS

    @pytest.fixture
    def needs(self) -> tuple[None]:
        ...

    @pytest.mark.parametrize('key', ['admission_key', 'preemption_key'])
    def test_keys_are_tuples_of_finite_numbers(self, card: SchedulingPolicy, key: str) -> None:
        ...

    @pytest.mark.parametrize('key', ['admission_key', 'preemption_key'])
    def test_keys_can_be_ordered(self, card: SchedulingPolicy, key: str) -> None:
        ...

    @pytest.mark.parametrize('key', ['admission_key', 'preemption_key'])
    def test_a_request_that_did_not_change_keeps_its_key(self, card: SchedulingPolicy, key: str) -> None:
        ...

    @pytest.mark.parametrize('key', ['admission_key', 'preemption_key'])
    def test_keys_do_not_move_with_the_clock(self, card: SchedulingPolicy, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        ...

    @pytest.mark.parametrize('key', ['admission_key', 'preemption_key'])
    def test_keys_are_made_quickly(self, card: SchedulingPolicy, key: str) -> None:
        ...

    def test_later_requests_of_the_same_sort_do_not_starve_one(self, card: SchedulingPolicy) -> None:
        ...

    def test_a_request_that_made_room_is_not_behind_all_that_come(self, card: SchedulingPolicy) -> None:
        ...

    def test_the_oldest_of_a_sort_does_not_make_room_for_all_that_come(self, card: SchedulingPolicy) -> None:
        ...

    def test_every_request_ends_while_memory_is_short(self, tmp_path: Path) -> None:
        ...

    def test_answers_do_not_depend_on_the_policy(self, tmp_path: Path) -> None:
        ...

    def open(self, folder: Path) -> LLM:
        ...
