"""The work on which accelerators are compared: decoding at three batch sizes, a long prompt, and many requests at once."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from jackfield.client import LLM
from jackfield.sampling import SamplingParams
from jackfield_bench.outputs import ProducedText
from jackfield_bench.shapes import Shape

_NUM_OUTPUTS = 256  # tokens of the decode work
_DECODES = {  # rows, and tokens of their prompts
    "decode_bs1": (1, 128),
    "decode_bs32": (32, 128),
    "decode_bs128": (128, 128),
    "decode_4k_bs64": (64, 4000),
}
_LONG_PROMPT = 4000  # tokens
_NUM_OFFLINE, _SHORTEST, _LONGEST = 256, 100, 1024  # requests and tokens of the offline work


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the report."""

    work: str
    unit: str  # "ms" or "tokens/s"
    value: float  # the median
    samples: Sequence[float]
    peer: float  # the figure of vLLM
    floor: float  # the limit of the card, in the same unit


class AcceleratorWork:
    """Runs the work on one engine with random weights."""

    # Names of the lines; the last one is run only if it is named.
    names = ("decode_bs1", "ttft_4k", "decode_bs32", "decode_bs128", "offline", "decode_4k_bs64")
    default_names = names[:-1]

    def __init__(self, llm: LLM, shape: Shape, repeats: int) -> None:
        self._llm, self._shape, self._repeats = llm, shape, repeats
        self.texts: dict[str, list[ProducedText]] = {}  # by line, from its last measured run
        self._random = random.Random(1)

    def run(self, work: str) -> Figure:
        """Measure one line of the report, given by name."""
        if work == "ttft_4k":
            return self._first_token()
        if work == "offline":
            return self._offline()
        return self._decode(work, *_DECODES[work])

    def _decode(self, work: str, batch: int, num_prompt: int) -> Figure:
        """Milliseconds a step: the time with all outputs minus the time with one output, for each further output."""
        samples = []
        for number in range(self._repeats + 1):
            prompts = self._prompts([num_prompt] * batch)
            _, short_s = self._generate(prompts, [1] * batch)
            prompts = self._prompts([num_prompt] * batch)
            self.texts[work], long_s = self._generate(prompts, [_NUM_OUTPUTS] * batch)
            if number:  # the first run is a warm-up
                samples.append(1e3 * (long_s - short_s) / (_NUM_OUTPUTS - 1))
        context = batch * (num_prompt + _NUM_OUTPUTS / 2)
        floor = 1e3 * self._shape.step_floor_s(batch, batch, context)
        return self._figure(work, "ms", samples, floor)

    def _first_token(self) -> Figure:
        samples = []
        for number in range(self._repeats + 3):
            prompts = self._prompts([_LONG_PROMPT])
            self.texts["ttft_4k"], seconds = self._generate(prompts, [1])
            if number:
                samples.append(1e3 * seconds)
        floor = self._shape.step_floor_s(_LONG_PROMPT, 1, 0) + self._shape.prompt_attention_s(
            _LONG_PROMPT
        )
        return self._figure("ttft_4k", "ms", samples, 1e3 * floor)

    def _offline(self) -> Figure:
        lengths = random.Random(0)
        ins = [lengths.randint(_SHORTEST, _LONGEST) for _ in range(_NUM_OFFLINE)]
        outs = [lengths.randint(_SHORTEST, _LONGEST) for _ in range(_NUM_OFFLINE)]
        samples = []
        for number in range(self._repeats + 1):
            self.texts["offline"], seconds = self._generate(
                self._prompts(ins), outs, temperature=0.6
            )
            if number:
                samples.append(sum(outs) / seconds)
        floor_s = self._shape.step_floor_s(sum(ins), 0, 0)
        for place in range(max(outs)):
            running = [i + place for i, o in zip(ins, outs, strict=True) if o > place]
            floor_s += self._shape.step_floor_s(len(running), len(running), sum(running))
        return self._figure("offline", "tokens/s", samples, sum(outs) / floor_s)

    def _figure(self, work: str, unit: str, samples: Sequence[float], floor: float) -> Figure:
        return Figure(
            work=work,
            unit=unit,
            value=round(statistics.median(samples), 4),
            samples=[round(sample, 4) for sample in samples],
            peer=self._shape.peer.get(work, math.nan),
            floor=round(floor, 4),
        )

    def _prompts(self, lengths: Sequence[int]) -> list[list[int]]:
        """Random token ids. No prompt occurs twice."""
        vocab_size = self._shape.vocab_size
        return [self._random.choices(range(vocab_size), k=length) for length in lengths]

    def _generate(
        self, prompts: list[list[int]], outs: Sequence[int], temperature: float = 0.0
    ) -> tuple[list[ProducedText], float]:
        """The outputs to score, and the seconds."""
        params = [
            SamplingParams(max_tokens=count, temperature=temperature, ignore_eos=True)
            for count in outs
        ]
        began = time.perf_counter()
        outputs = self._llm.generate(prompts, params)
        seconds = time.perf_counter() - began
        texts = [
            ProducedText(
                prompt=prompt, output=list(output.outputs[0].token_ids), temperature=temperature
            )
            for prompt, output in zip(prompts[: self._shape.num_checked], outputs, strict=False)
        ]
        return texts, seconds
