"""The kit of encoders: a family's spec gives the vectors or scores of a reference, and its checkpoints are read whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from jackfield.discovery.kinds import MODELS
from jackfield.pooling import KINDS, MEAN, PoolingParams
from jackfield_testing.conformance.kit import ConformanceKit
from jackfield_testing_torch.conformance.known_model import (
    KnownModel,
    random_text,
    transformers_model,
    write_known_model,
)
from jackfield_testing_torch.conformance.model_runs import open_engine
from jackfield_testing_torch.conformance.threads import OneThread
from jackfield_testing_torch.conformance.tolerances import LOGITS

_LENGTHS = (30, 9, 1, 30, 17)  # lengths of prompts, which share steps
_SETTINGS: Mapping[str, Any] = {"scheduler.max_step_tokens": 64}


class EncoderKit(OneThread, ConformanceKit):
    """A third party's test file names the architecture, and gives tiny configs of everything that the family can be.

    The reference is the class of that name in Transformers: its last hidden states, or its logits if it classifies.
    """

    kind = MODELS
    # For each name of a config, its differences from TINY. Every feature that a config may ask for needs at least one.
    configs: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tiny": {}}
    settings: ClassVar[Mapping[str, Any]] = {}  # settings of the engine, such as "select.platform"

    @classmethod
    @cache
    def known(cls, case: str) -> KnownModel:
        """The tiny model of one of `configs`, made once."""
        return transformers_model(cls.name, cls.configs[case], answers=_answers)

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """Make one test for each of `configs`."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", cls.configs)

    @pytest.fixture
    def model(self, case: str) -> KnownModel:
        """The tiny model and its answers."""
        return self.known(case)

    @pytest.fixture
    def folder(self, model: KnownModel, tmp_path: Path) -> Path:
        """The folder of the tiny model."""
        write_known_model(model, tmp_path)
        return tmp_path

    def test_an_engine_gives_what_the_reference_gives(
        self, model: KnownModel, folder: Path
    ) -> None:
        """Prompts of several lengths share a step. Compared are vectors of every pooling, or class scores before
        sigmoid.
        """
        prompts = [_text(model.config, size) for size in _LENGTHS]
        with open_engine(folder, self.plugins, {**_SETTINGS, **self.settings}) as llm:
            if llm.engine.input.vectors.classifier is not None:
                for output in llm.classify(prompts, activation=False):
                    expected = model.logits(torch.tensor(output.prompt_token_ids))
                    _check(output.vector, expected, "scores")
                return
            for kind in KINDS:
                params = PoolingParams(kind=kind, normalize=False)
                for output in llm.embed(prompts, params):
                    hidden_TE = model.logits(torch.tensor(output.prompt_token_ids))
                    _check(output.vector, _pooled(hidden_TE, kind), kind)

    def test_a_checkpoint_is_read_whole(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """No tensor and no key of the config is left that might mean another computation."""
        with caplog.at_level(logging.WARNING), open_engine(folder, self.plugins, self.settings):
            left = [record.getMessage() for record in caplog.records]

        assert left == []


def _text(config: Mapping[str, Any], length: int) -> list[int]:
    """Token ids without the padding token, which some families skip when they count positions."""
    padding = config.get("pad_token_id")
    last = int(config["vocab_size"]) - 1
    return [
        last if token_id == padding else token_id for token_id in random_text(last, length).tolist()
    ]


def _answers(model: Any, token_ids_T: Tensor) -> Tensor:
    """Scores of classes; for a model without classes, hidden_TE."""
    with torch.no_grad():
        if type(model).__name__.endswith("ForSequenceClassification"):
            logits_C: Tensor = model(token_ids_T[None]).logits[0]
            return logits_C
        hidden_TE: Tensor = model.base_model(token_ids_T[None]).last_hidden_state[0]
        return hidden_TE


def _pooled(hidden_TE: Tensor, kind: str) -> Tensor:
    return hidden_TE.mean(0) if kind == MEAN else hidden_TE[0 if kind == "cls" else -1]


def _check(found: Any, expected_E: Tensor, what: str) -> None:
    difference = (torch.tensor(list(found)) - expected_E).abs().max()
    assert difference <= LOGITS * expected_E.abs().max(), f"{what}: off by {float(difference):.3g}"
