"""The work that accelerators are compared by: decoding at three batch sizes, a long prompt, and many requests at once."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jackfield.cli.benchmarks.shapes import Shape
from jackfield.client import LLM
from jackfield.request import RequestOutput
from jackfield.sampling import SamplingParams

_NUM_PROMPT, _NUM_OUTPUTS = 128, 256  # tokens of the decode work
_LONG_PROMPT = 4000  # tokens
_NUM_OFFLINE, _SHORTEST, _LONGEST = 256, 100, 1024  # requests and tokens of the offline work
_CHECKED = 4  # requests of a run whose outputs are scored again


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the report."""

    work: str
    unit: str  # "ms" or "tokens/s"
    value: float  # the median
    samples: Sequence[float]
    peer: float  # vLLM's
    floor: float  # what the card allows, in the same unit
    # the worst distance of a greedy token from the best one in log probability, as the prompt path scores it
    margin: float | None = None
    exact: float | None = None  # share of greedy tokens that the prompt path ranks first too


@dataclass(slots=True)
class Checks:
    """What scoring outputs again found."""

    margins: list[float] = field(default_factory=list)
    num_exact: int = 0

    def add(
        self, llm: LLM, outputs: Sequence[RequestOutput], prompts: Sequence[Sequence[int]]
    ) -> None:
        """Score greedy outputs as prompts: other kernels compute the same numbers."""
        for prompt, output in list(zip(prompts, outputs, strict=True))[:_CHECKED]:
            tokens = list(output.outputs[0].token_ids)
            params = SamplingParams(
                max_tokens=1, temperature=0.0, prompt_logprobs=1, ignore_eos=True
            )
            (scored,) = llm.generate([[*prompt, *tokens]], params)
            entries = scored.prompt_logprobs
            assert entries is not None, "prompt_logprobs were asked for"
            for entry in entries[-len(tokens) :]:
                assert entry is not None, "only the first prompt token has no log probability"
                self.margins.append(entry.top_logprobs[0] - entry.logprob)
                self.num_exact += entry.rank == 1


class AcceleratorWork:
    """Runs the work on one engine that has random weights."""

    def __init__(self, llm: LLM, shape: Shape, repeats: int) -> None:
        self._llm, self._shape, self._repeats = llm, shape, repeats
        self._random = random.Random(1)

    def run(self, work: str) -> Figure:
        """One line of the report, by its name."""
        return self.all[work]()

    @property
    def all(self) -> dict[str, Callable[[], Figure]]:
        """The work by name, in the order of the report."""
        return {
            "decode_bs1": lambda: self._decode("decode_bs1", 1),
            "ttft_4k": self._first_token,
            "decode_bs32": lambda: self._decode("decode_bs32", 32),
            "decode_bs128": lambda: self._decode("decode_bs128", 128),
            "offline": self._offline,
        }

    def _decode(self, work: str, batch: int) -> Figure:
        """Milliseconds a step: of the time with all outputs, what the time with one output does not explain."""
        checks, samples = Checks(), []
        for number in range(self._repeats + 1):
            prompts = self._prompts([_NUM_PROMPT] * batch)
            _, short_s = self._generate(prompts, [1] * batch)
            prompts = self._prompts([_NUM_PROMPT] * batch)
            outputs, long_s = self._generate(prompts, [_NUM_OUTPUTS] * batch)
            if number:  # the first run warms up
                samples.append(1e3 * (long_s - short_s) / (_NUM_OUTPUTS - 1))
        checks.add(self._llm, outputs, prompts)
        context = batch * (_NUM_PROMPT + _NUM_OUTPUTS / 2)
        floor = 1e3 * self._shape.step_floor_s(batch, batch, context)
        return self._figure(work, "ms", samples, floor, checks)

    def _first_token(self) -> Figure:
        checks, samples = Checks(), []
        for number in range(self._repeats + 3):
            prompts = self._prompts([_LONG_PROMPT])
            outputs, seconds = self._generate(prompts, [1])
            if number:
                samples.append(1e3 * seconds)
        checks.add(self._llm, outputs, prompts)
        floor = self._shape.step_floor_s(_LONG_PROMPT, 1, 0) + self._shape.prompt_attention_s(
            _LONG_PROMPT
        )
        return self._figure("ttft_4k", "ms", samples, 1e3 * floor, checks)

    def _offline(self) -> Figure:
        lengths = random.Random(0)
        ins = [lengths.randint(_SHORTEST, _LONGEST) for _ in range(_NUM_OFFLINE)]
        outs = [lengths.randint(_SHORTEST, _LONGEST) for _ in range(_NUM_OFFLINE)]
        samples = []
        for number in range(self._repeats + 1):
            _, seconds = self._generate(self._prompts(ins), outs, temperature=0.6)
            if number:
                samples.append(sum(outs) / seconds)
        floor_s = self._shape.step_floor_s(sum(ins), 0, 0)
        for place in range(max(outs)):
            running = [i + place for i, o in zip(ins, outs, strict=True) if o > place]
            floor_s += self._shape.step_floor_s(len(running), len(running), sum(running))
        return self._figure("offline", "tokens/s", samples, sum(outs) / floor_s, None)

    def _figure(
        self, work: str, unit: str, samples: Sequence[float], floor: float, checks: Checks | None
    ) -> Figure:
        return Figure(
            work=work,
            unit=unit,
            value=round(statistics.median(samples), 4),
            samples=[round(sample, 4) for sample in samples],
            peer=self._shape.peer[work],
            floor=round(floor, 4),
            margin=round(max(checks.margins), 4) if checks else None,
            exact=round(checks.num_exact / len(checks.margins), 4) if checks else None,
        )

    def _prompts(self, lengths: Sequence[int]) -> list[list[int]]:
        """Random token ids, never the same twice."""
        vocab_size = self._shape.vocab_size
        return [self._random.choices(range(vocab_size), k=length) for length in lengths]

    def _generate(
        self, prompts: list[list[int]], outs: Sequence[int], temperature: float = 0.0
    ) -> tuple[list[RequestOutput], float]:
        params = [
            SamplingParams(max_tokens=count, temperature=temperature, ignore_eos=True)
            for count in outs
        ]
        began = time.perf_counter()
        outputs = self._llm.generate(prompts, params)
        return outputs, time.perf_counter() - began
