"""A request while the engine works on it: its tokens, its stage, and how it ended."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from enum import Enum

from jackfield.interfaces.speculator import Drafter
from jackfield.kv_cache import BlockHashes, BlockTable
from jackfield.request import EngineRequest, FinishReason
from jackfield.step import TokenLogprobs


class Stage(Enum):
    """The stage of a request in the scheduler."""

    HELD = "held"  # waits for the prompt of its sibling
    WAITING = "waiting"  # in the queue, for the first time or after a preemption
    PREFILLING = "prefilling"  # in a row, more than one token is not computed yet
    DECODING = "decoding"  # in a row, one token a step
    DRAINING = "draining"  # in a row, all its tokens are planned, results are missing
    SEARCHING = "searching"  # in a row, an answer that a beam search follows
    FINISHED = "finished"


class OpenDraft:
    """A draft in a step in flight. It keeps the table, because a preempted request no longer has it."""

    __slots__ = ("num_open", "request", "start", "table", "token_ids")

    def __init__(
        self, request: Request, table: BlockTable, start: int, token_ids: Sequence[int]
    ) -> None:
        self.request = request
        self.table = table
        self.start = start  # position of the first guess
        self.token_ids = token_ids
        # Number of guesses that may still be confirmed; 0 if an earlier draft failed.
        self.num_open = len(token_ids)


class Request:
    """One output of one prompt. Made by `from_engine_request`; only the scheduler changes it.

    `token_ids` holds the prompt, then all tokens that the host has seen; these are confirmed. `num_planned` is the
    number of tokens that are computed when all planned steps have run, if every draft in them is confirmed. So it may
    exceed the tokens that the host has seen.
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
        self.index = index  # index among the n outputs
        self.prompt = request.prompt
        self.sampling = sampling
        self.seed = seed
        self.priority = request.priority
        self.prefix_key = request.prefix_key
        self.token_ids = list(request.prompt_token_ids)
        self.num_prompt_tokens = len(self.token_ids)
        self.end_token_ids = () if sampling.ignore_eos else tuple(end_token_ids)
        self.stop_ids = frozenset((*self.end_token_ids, *sampling.stop_token_ids))

        # How the output ended, and what came with its tokens.
        self.finish_reason: FinishReason | None = None
        self.stop_reason: str | int | None = None
        self.error: str | None = None
        self.logprobs: list[TokenLogprobs] | None = None if sampling.logprobs is None else []
        # One entry for each prompt token; None for the first.
        self.prompt_logprobs: list[TokenLogprobs | None] | None = (
            None if sampling.prompt_logprobs is None else [None]
        )
        self.score: float | None = None  # score in a beam search
        self.pooling = request.pooling  # if set, a vector is wanted and no tokens
        # Index in the prompt at which the second of two texts begins.
        self.second_text = request.second_text
        self.vector: array[float] | None = None
        self.num_cached_tokens = 0  # prompt tokens that did not have to be computed
        self.num_preemptions = 0
        # In the time of time.monotonic(), at the first admission.
        self.admitted_s: float | None = None

        # The fields below belong to the scheduler.
        self.stage = Stage.WAITING
        self.arrival = -1  # running number, given by the scheduler
        self.turn = 0.0  # given by Turns, as is `promised`
        self.promised = 0.0  # tokens of output charged to its tenant in advance
        self.admission_key: tuple[float, ...] = ()
        self.preemption_key: tuple[float, ...] = ()
        self.parent = parent  # the sibling whose prompt this output shares
        self.num_rows = 1  # rows that it is given at once; a beam search needs several
        self.spare_rows: list[int] = []  # its rows beside `row`
        self.held_siblings: list[Request] = []  # siblings that wait for this output's prompt
        self.waits_for_step = -1  # it is not admitted before this step is resolved
        self.hashes = BlockHashes(request.prefix_key)
        self.table: BlockTable | None = None  # None unless it runs
        self.row = -1
        self.cohort: list[Request] | None = None  # the cohort of decoding rows that it is in
        self.num_planned = 0  # most tokens that are computed when all planned steps have run
        self.num_guessed = 0  # how many of them are drafts in flight, which may not be confirmed
        self.open_drafts: list[OpenDraft] = []  # in the order of their steps
        self.drafter: Drafter | None = None
        # State of the output in its grammar. newest_draw is the newest step that draws for it.
        self.grammar = None if request.grammar is None else request.grammar.start()
        self.newest_draw = -1
        self.max_tokens = 0  # length of token_ids at which it ends
        self.last_computed = 0  # from this num_planned on, all its tokens are planned
        self.next_event = 0  # from this num_planned on, its blocks are full or all is planned
        # From this len(token_ids) on, the next token fills a block or ends the request. 0 when it has ended.
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

        `parent` is the output with index 0, if this is a later one: they share the blocks of the prompt. Each output
        should get a seed of its own.
        """
        return cls(request, seed=seed, end_token_ids=end_token_ids, index=index, parent=parent)

    @property
    def num_sure(self) -> int:
        """Least number of tokens that are computed when all planned steps have run."""
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
        """The salt of its prefix key, which holds the tenant."""
        return self.prefix_key.salt

    @property
    def is_finished(self) -> bool:
        """True if it has a finish reason."""
        return self.finish_reason is not None

    def end(
        self, reason: FinishReason, stop_reason: str | int | None = None, error: str | None = None
    ) -> None:
        """Set how it ended. Results of steps in flight for it are void."""
        self.finish_reason, self.stop_reason, self.error = reason, stop_reason, error
        self.check_at = 0

    def __repr__(self) -> str:
        return (
            f"Request({self.request_id!r}, index={self.index}, {self.stage.value}, row={self.row}, "
            f"tokens={self.num_prompt_tokens}+{self.num_output_tokens}, computed={self.num_planned})"
        )
