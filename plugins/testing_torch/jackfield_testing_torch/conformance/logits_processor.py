"""The kit of logits processors: the logits of a row depend only on its arguments and tokens."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from jackfield.client import LLM
from jackfield.errors import RequestError
from jackfield.sampling import SamplingParams
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.models import write_model
from jackfield_testing.tokenizer import VOCAB_SIZE
from jackfield_torch.interfaces.logits_processor import (
    KIND,
    ProcessorLimits,
    TorchLogitsProcessor,
)
from jackfield_torch.interfaces.row_processor import ProcessedRows, RowProcessor

_MAX_ROWS, _WIDTH = 8, 64
_LENGTHS = (1, 2, 9, 23, 40)  # numbers of tokens of rows; a third of them are the prompt


@dataclass(frozen=True, slots=True)
class _Text:
    """One row of logits, with the tokens before it."""

    row: int
    token_ids: Sequence[int]
    num_prompt: int


class LogitsProcessorKit(CardKit):
    """A third party's test file names the entry point, and gives `samples`: arguments in the form of requests."""

    kind = KIND
    samples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    @pytest.fixture(autouse=True)
    def _has_samples(self) -> None:
        if not self.samples:
            self.not_shown("the kit was given no samples")

    @pytest.fixture
    def processor(self, card: TorchLogitsProcessor) -> RowProcessor:
        """The processor, on the host."""
        return _create(card)

    def test_arguments_are_data_that_cannot_change(self, card: TorchLogitsProcessor) -> None:
        """Arguments are a frozen dataclass, which reads every sample and refuses unknown words."""
        assert is_dataclass(card.arguments)
        assert card.arguments.__dataclass_params__.frozen, "arguments must be frozen"  # type: ignore[attr-defined]
        for sample in self.samples:
            card.read(self.name, sample)
        with pytest.raises(RequestError, match="unknown argument 'nobodys'"):
            card.read(self.name, {**self.samples[0], "nobodys": 1})

    def test_rows_beside_it_change_nothing(self, card: TorchLogitsProcessor) -> None:
        """All samples and texts together, in any order and row, give the results of each alone."""
        texts = _texts()
        asked = [
            (text, sample)
            for text, sample in zip(texts, _cycle(self.samples, len(texts)), strict=True)
        ]
        alone = [_run(card, [one])[0] for one in asked]
        together = _run(card, asked)
        assert torch.equal(torch.stack(alone), together)
        turned = _run(card, asked[::-1])
        assert torch.equal(together.flip(0), turned)

    def test_what_lies_behind_the_tokens_changes_nothing(self, card: TorchLogitsProcessor) -> None:
        """Behind the tokens, rows hold arbitrary values."""
        asked = [(_texts()[2], sample) for sample in self.samples[:1]]
        assert torch.equal(_run(card, asked, filler=0), _run(card, asked, filler=VOCAB_SIZE - 1))
        assert torch.equal(_run(card, asked), _run(card, asked, longest=_WIDTH))

    def test_tokens_are_left_as_they_are(self, card: TorchLogitsProcessor) -> None:
        """The tokens belong to the rows."""
        texts = [(text, self.samples[0]) for text in _texts()]
        tokens_RL = _tokens(texts, 0)
        before = tokens_RL.clone()
        _apply(_create(card), card, self.name, texts, tokens_RL, None)
        assert torch.equal(tokens_RL, before)

    def test_a_row_that_was_left_is_forgotten(self, card: TorchLogitsProcessor) -> None:
        """The next request in the row gets its own result, also with the same rows."""
        processor, name = _create(card), self.name
        text = _texts()[3]
        for sample in (*self.samples, *self.samples[::-1]):
            asked = [(text, sample)]
            found = _apply(processor, card, name, asked, _tokens(asked, 0), None)
            processor.leave(text.row)
            assert torch.equal(found, _run(card, asked))

    @pytest.mark.parametrize("num_drafts", [0, 3])
    def test_a_whole_engine_gives_each_request_its_own(
        self, tmp_path: Path, num_drafts: int
    ) -> None:
        """Requests run alone and with others, with few blocks, with and without drafts, on the CPU platform."""
        write_model(tmp_path)
        settings = {
            "select.weight_format": "dummy",
            "model.dtype": "float32",  # in bfloat16 another batch size may change near-ties
            "cache.block_size": 4,
            "cache.num_blocks": 30,
            "model.max_length": 64,
        }
        asked = [
            SamplingParams(logits_processors={self.name: s}, temperature=t, seed=1, max_tokens=24)
            for s in self.samples
            for t in (0.0, 1.0)
        ]
        prompts = [[1, 2, 3, 1, 2], *[[5] * 9] * (len(asked) - 1)]
        with LLM(str(tmp_path), settings=settings, plugins=self.plugins) as llm:
            alone = [_answer(llm, [p], [a])[0] for p, a in zip(prompts, asked, strict=True)]
        settings |= {"speculation.num_tokens": num_drafts}
        with LLM(str(tmp_path), settings=settings, plugins=self.plugins) as llm:
            free = SamplingParams(max_tokens=30, temperature=0.0, ignore_eos=True)
            together = _answer(llm, [*prompts, [9, 9]], [*asked, free])
        assert together[:-1] == alone


def _answer(
    llm: LLM, prompts: Sequence[list[int]], params: Sequence[SamplingParams]
) -> list[list[int]]:
    return [list(output.outputs[0].token_ids) for output in llm.generate(prompts, params)]


def _create(card: TorchLogitsProcessor) -> RowProcessor:
    return card.create(
        ProcessorLimits(vocab_size=VOCAB_SIZE, max_rows=_MAX_ROWS, max_length=_WIDTH, device="cpu")
    )


def _texts() -> list[_Text]:
    draw = random.Random(0)
    return [
        _Text(row, [draw.randrange(3) for _ in range(length)], 1 + length // 3)
        for row, length in enumerate(_LENGTHS)
    ]


def _cycle(samples: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    return [samples[index % len(samples)] for index in range(count)]


def _tokens(asked: Sequence[tuple[_Text, Mapping[str, Any]]], filler: int) -> Tensor:
    tokens_RL = torch.full((_MAX_ROWS, _WIDTH), filler, dtype=torch.int32)
    for text, _ in asked:
        tokens_RL[text.row, : len(text.token_ids)] = torch.tensor(text.token_ids)
    return tokens_RL


def _run(
    card: TorchLogitsProcessor,
    asked: Sequence[tuple[_Text, Mapping[str, Any]]],
    *,
    filler: int = 0,
    longest: int | None = None,
) -> Tensor:
    """The logits of these texts, changed by a processor of their own."""
    return _apply(_create(card), card, "", asked, _tokens(asked, filler), longest)


def _apply(
    processor: RowProcessor,
    card: TorchLogitsProcessor,
    name: str,
    asked: Sequence[tuple[_Text, Mapping[str, Any]]],
    tokens_RL: Tensor,
    longest: int | None,
) -> Tensor:
    for text, sample in asked:
        processor.enter(text.row, card.read(name, sample), text.token_ids, text.num_prompt)
    rows = tuple(text.row for text, _ in asked)
    lengths = [len(text.token_ids) for text, _ in asked]
    logits = [_logits(text) for text, _ in asked]
    logits_MV = torch.stack(logits)
    processor.apply(
        logits_MV,
        ProcessedRows(
            rows=rows,
            rows_M=torch.tensor(rows),
            token_ids_RL=tokens_RL,
            num_tokens_M=torch.tensor(lengths),
            num_prompt_M=torch.tensor([text.num_prompt for text, _ in asked]),
            longest=max(lengths) if longest is None else longest,
        ),
    )
    return logits_MV


def _logits(text: _Text) -> Tensor:
    return torch.randn(VOCAB_SIZE, generator=torch.Generator().manual_seed(len(text.token_ids)))
