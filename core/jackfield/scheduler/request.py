"""A request while the engine works on it: its tokens, where it stands, and how it ended."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from enum import Enum

from jackfield.interfaces.speculator import Drafter
from jackfield.kv_cache import BlockHashes, BlockTable
from jackfield.request import EngineRequest, FinishReason
from jackfield.step import TokenLogprobs


class Stage(Enum):
    """Where a request stands in the scheduler."""

    HELD = "held"  # waits for the prompt of its sibling
    WAITING = "waiting"  # in the queue, for the first time or after a preemption
    PREFILLING = "prefilling"  # in a row, more than one token behind
    DECODING = "decoding"  # in a row, one token a step
    DRAINING = "draining"  # in a row, everything is planned, results are missing
    SEARCHING = "searching"  # in a row, an answer that a beam search follows
    FINISHED = "finished"


class OpenDraft:
    """A draft in a step in flight. The table is kept: a preempted request no longer has it."""

    __slots__ = ("num_open", "request", "start", "table", "token_ids")

    def __init__(
        self, request: Request, table: BlockTable, start: int, token_ids: Sequence[int]
    ) -> None:
        self.request = request
        self.table = table
        self.start = start  # position of the first guess
        self.token_ids = token_ids
        self.num_open = len(
            token_ids
        )  # that may still be confirmed; 0 once a draft before it failed


class Request:
    """One output of one prompt. Made by `from_engine_request`; changed only by the scheduler.

    `token_ids` holds the prompt, then all tokens that the host has seen: those are confirmed. `num_planned` counts
    tokens that are computed at most once all planned steps are, if every draft in them is confirmed, so it may
    exceed what the host has seen.
    """

    __slots__ = (
        "admission_key",
        "admitted_s",
        "arrival",
        "check_at",
        "cohort",
        "drafter",
        "end_token_ids",
        "error",
        "finish_reason",
        "grammar",
        "hashes",
        "held_siblings",
        "index",
        "last_computed",
        "logprobs",
        "max_tokens",
        "newest_draw",
        "next_event",
        "num_cached_tokens",
        "num_guessed",
        "num_planned",
        "num_preemptions",
        "num_prompt_tokens",
        "num_rows",
        "open_drafts",
        "parent",
        "pooling",
        "preemption_key",
        "prefix_key",
        "priority",
        "promised",
        "prompt",
        "prompt_logprobs",
        "request_id",
        "row",
        "sampling",
        "score",
        "second_text",
        "seed",
        "spare_rows",
        "stage",
        "stop_ids",
        "stop_reason",
        "table",
        "token_ids",
        "turn",
        "vector",
        "waits_for_step",
    )

    def __init__(
        self,
        request: EngineRequest,
        *,
        seed: int,
        end_token_ids: tuple[int, ...],
        index: int,
        parent: Request | None,
    ) -> None:
        sampling = request.sampling
        self.request_id = request.request_id
        self.index = index  # of the n outputs
        self.prompt = request.prompt
        self.sampling = sampling
        self.seed = seed
        self.priority = request.priority
        self.prefix_key = request.prefix_key
        self.token_ids = list(request.prompt_token_ids)
        self.num_prompt_tokens = len(self.token_ids)
        self.end_token_ids = () if sampling.ignore_eos else tuple(end_token_ids)
        self.stop_ids = frozenset((*self.end_token_ids, *sampling.stop_token_ids))

        # How it ended and what came with its tokens.
        self.finish_reason: FinishReason | None = None
        self.stop_reason: str | int | None = None
        self.error: str | None = None
        self.logprobs: list[TokenLogprobs] | None = None if sampling.logprobs is None else []
        # One entry a prompt token; the first token has none.
        self.prompt_logprobs: list[TokenLogprobs | None] | None = (
            None if sampling.prompt_logprobs is None else [None]
        )
        self.score: float | None = None  # of a beam search
        self.pooling = request.pooling  # a vector is wanted, and no tokens
        self.second_text = request.second_text  # place in the prompt
        self.vector: array[float] | None = None
        self.num_cached_tokens = 0  # prompt tokens that did not have to be computed
        self.num_preemptions = 0
        self.admitted_s: float | None = None  # of time.monotonic(), the first time

        # The scheduler's own.
        self.stage = Stage.WAITING
        self.arrival = -1  # running number, given by the scheduler
        self.turn = 0.0  # given by Turns, as the next
        self.promised = 0.0  # tokens of output that its tenant was charged with
        self.admission_key: tuple[float, ...] = ()
        self.preemption_key: tuple[float, ...] = ()
        self.parent = parent  # the sibling whose prompt it shares
        self.num_rows = 1  # that it is given at once: more for a beam search
        self.spare_rows: list[int] = []  # of those: beside its own
        self.held_siblings: list[Request] = []  # that wait for this one's prompt
        self.waits_for_step = -1  # is not admitted before this step was resolved
        self.hashes = BlockHashes(request.prefix_key)
        self.table: BlockTable | None = None  # while it runs
        self.row = -1
        self.cohort: list[Request] | None = None  # of rows that decode together
        self.num_planned = 0  # tokens computed at most, once all planned steps are
        self.num_guessed = 0  # of those: drafts in flight, which may not be confirmed
        self.open_drafts: list[OpenDraft] = []  # in the order of their steps
        self.drafter: Drafter | None = None
        # Where the output stands in its grammar; newest_draw: the newest step that draws for it.
        self.grammar = None if request.grammar is None else request.grammar.start()
        self.newest_draw = -1
        self.max_tokens = 0  # of token_ids: there it ends
        self.last_computed = 0  # num_planned from which on all its tokens are planned
        self.next_event = 0  # num_planned from which on its blocks are full or all is planned
        # len(token_ids) from which on the next token fills a block or ends the request; 0 once it has ended.
        self.check_at = 0

    @classmethod
    def from_engine_request(
        cls,
        request: EngineRequest,
        *,
        seed: int,
        end_token_ids: tuple[int, ...] = (),
        index: int = 0,
        parent: Request | None = None,
    ) -> Request:
        """The `index`-th output of `request`.

        `parent` is the output with index 0 where this is a later one: they share the blocks of the prompt. Each
        output should get a seed of its own.
        """
        return cls(request, seed=seed, end_token_ids=end_token_ids, index=index, parent=parent)

    @property
    def num_sure(self) -> int:
        """Tokens that are computed at least, once all planned steps are."""
        return self.num_planned - self.num_guessed

    @property
    def num_output_tokens(self) -> int:
        """Tokens drawn so far that the host has seen."""
        return len(self.token_ids) - self.num_prompt_tokens

    @property
    def output_token_ids(self) -> list[int]:
        """A copy of the tokens drawn so far."""
        return self.token_ids[self.num_prompt_tokens :]

    @property
    def salt(self) -> str:
        """The tenant."""
        return self.prefix_key.salt

    @property
    def is_finished(self) -> bool:
        """True once it has a reason to finish."""
        return self.finish_reason is not None

    def end(
        self, reason: FinishReason, stop_reason: str | int | None = None, error: str | None = None
    ) -> None:
        """Keep how it ended. Whatever steps in flight bring for it is void."""
        self.finish_reason, self.stop_reason, self.error = reason, stop_reason, error
        self.check_at = 0

    def __repr__(self) -> str:
        return (
            f"Request({self.request_id!r}, index={self.index}, {self.stage.value}, row={self.row}, "
            f"tokens={self.num_prompt_tokens}+{self.num_output_tokens}, computed={self.num_planned})"
        )
