"""Computes a known model through a spec: logits of the decoder alone, and answers of an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from jackfield.client import LLM
from jackfield.errors import SelectionError
from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield.request import RequestOutput
from jackfield.sampling import SamplingParams
from jackfield_testing_torch.conformance.known_model import LENGTH
from jackfield_testing_torch.dense_attention import DenseAttention
from jackfield_torch.decoder import Decoder, assemble_decoder
from jackfield_torch.foreign import RunningForeign, shown_checkpoint
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import CheckpointWeights
from jackfield_torch.tensor_parallel import SingleRank
from jackfield_torch.unquantized import UnquantizedScheme

STEP_TOKENS = 20  # tokens of a step of an engine, so few that prompts are cut and steps mix rows
_SETTINGS: Mapping[str, Any] = {
    "cache.num_blocks": 64,
    "cache.prefix_caching": False,
    "model.dtype": "float32",
    "model.max_length": LENGTH,
    "plugins.probe": "inline",
    "scheduler.max_step_tokens": STEP_TOKENS,
}


def build(spec: ModelSpec, checkpoint: Checkpoint) -> Decoder | RunningForeign:
    """The decoder of a spec on the host, in float32. Raises JackfieldError for a checkpoint that does not fit."""
    scheme = UnquantizedScheme()
    return assemble_decoder(
        LoadContext(
            spec=spec,
            weights=CheckpointWeights(shown_checkpoint(checkpoint, spec), spec),
            device=torch.device("cpu"),
            dtype=torch.float32,
            schemes=lambda part: scheme,
            ranks=SingleRank(),
            max_length=LENGTH,
        )
    )


def decode(
    spec: ModelSpec, checkpoint: Checkpoint, token_ids_T: Tensor, chunks: Sequence[int] = ()
) -> Tensor:
    """logits_TV of a text that is computed at once, or in steps of `chunks` tokens."""
    sizes = list(chunks) or [len(token_ids_T)]
    with torch.inference_mode():
        decoder = build(spec, checkpoint)
        attention = DenseAttention(spec, decoder.sinks)
        positions = torch.split(torch.arange(len(token_ids_T)), sizes)
        steps = zip(torch.split(token_ids_T, sizes), positions, strict=True)
        return decoder.logits(torch.cat([decoder.forward(*step, attention) for step in steps]))


def open_engine(folder: Path, plugins: Sequence[str], settings: Mapping[str, Any]) -> LLM:
    """An engine on the best platform here. Skips the test if no platform takes the model."""
    try:
        return LLM(str(folder), plugins=list(plugins), settings={**_SETTINGS, **settings})
    except SelectionError as error:
        pytest.skip(f"no engine here runs it: {error}")


def answer(llm: LLM, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[RequestOutput]:
    """Greedy tokens, with the log probabilities of all others."""
    params = SamplingParams(
        max_tokens=num_tokens, temperature=0.0, ignore_eos=True, logprobs=llm.vocab_size
    )
    return list(llm.generate([list(prompt) for prompt in prompts], params))
