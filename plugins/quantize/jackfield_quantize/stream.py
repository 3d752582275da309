"""Loads a model layer by layer, and runs rows of calibration through each layer. R rows, L tokens, E hidden size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield_quantize.attention import RowsAttention
from jackfield_quantize.linears import StudiedLinear, StudyScheme
from jackfield_quantize.products import narrow_products
from jackfield_torch.decoder import DecoderBuilder
from jackfield_torch.layers.attention import StepInputs
from jackfield_torch.layers.decoder_layer import DecoderLayer
from jackfield_torch.layers.post_norm import PostNormLayer
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import CheckpointWeights
from jackfield_torch.tensor_parallel import SingleRank

_CHUNK_TOKENS = 4096  # tokens that run at once


class _Seen(Exception):  # ends a pass: the rest of the layer need not run
    """The watched linears have got their inputs."""


@dataclass(slots=True)
class StudiedLayer:
    """A layer in memory."""

    index: int
    run: DecoderLayer | PostNormLayer
    linears: list[StudiedLinear]  # in the order in which they run

    @property
    def stages(self) -> list[list[StudiedLinear]]:
        """Linears that are watched in one pass: one linear, or those of all experts at the same place."""
        found: dict[str, list[StudiedLinear]] = {}
        for linear in self.linears:
            found.setdefault(linear.role, []).append(linear)
        return list(found.values())


class LayerStream:
    """Builds one layer after another in float32 from a checkpoint that stays on disk."""

    def __init__(
        self, checkpoint: Checkpoint, spec: ModelSpec, device: torch.device, row_length: int
    ) -> None:
        self.spec, self.device, self.row_length = spec, device, row_length
        self._scheme = StudyScheme()
        self._builder = DecoderBuilder(
            LoadContext(
                spec=spec,
                weights=CheckpointWeights(checkpoint, spec),
                device=device,
                dtype=torch.float32,
                schemes=lambda part: self._scheme,
                ranks=SingleRank(),
                max_length=row_length,
            )
        )
        self._ropes = self._builder.ropes()
        self.attention = RowsAttention(spec, row_length)

    @property
    def chunk_rows(self) -> int:
        """The number of rows that run at once."""
        return max(1, _CHUNK_TOKENS // self.row_length)

    @torch.no_grad()
    def embed(self, token_ids_RL: Tensor) -> Tensor:
        """The embeddings x_RLE in float32, on the host."""
        embedding = self._builder.embedding()
        positions_L = torch.arange(self.row_length, device=self.device)
        rows = [embedding(row_L.to(self.device), positions_L).cpu() for row_L in token_ids_RL]
        return torch.stack(rows)

    def layer(self, index: int) -> StudiedLayer:
        """The layer with this index, with its plain weights."""
        run = self._builder.layer(index)
        sinks = self._builder.sinks(index)
        if sinks is not None:
            self.attention.sinks[index] = sinks
        return StudiedLayer(index, run, self._scheme.take())

    def head(self) -> Callable[[Tensor], Tensor]:
        """The function from hidden states to logits, in float32. Its weights stay in memory as long as the caller keeps it."""
        self._builder.embedding()  # a tied head reads its table
        logits = self._builder.logits()
        if logits is None:
            raise UnsupportedModelError(
                f"{self.spec.architecture} gives no tokens, by whose probabilities quantization is studied; quantize a model "
                "that generates text"
            )
        self._scheme.take()
        return logits

    def forward(self, layer: StudiedLayer, x_RLE: Tensor) -> Tensor:
        """The outputs of the layer for a few rows, which are not changed."""
        x_TE = x_RLE.to(self.device).flatten(0, 1).clone()
        positions_T = torch.arange(self.row_length, device=self.device).repeat(len(x_RLE))
        rotations = tuple(rope.rows(positions_T) for rope in self._ropes)
        branch_TE = layer.run(x_TE, None, StepInputs(self.attention, rotations, positions_T))
        x_TE = x_TE if branch_TE is None else x_TE + branch_TE
        return x_TE.view(-1, self.row_length, x_TE.shape[-1])

    @torch.no_grad()
    @narrow_products()
    def advance(self, layer: StudiedLayer, x_RLE: Tensor) -> Tensor:
        """The outputs of the layer for all rows, on the host."""
        chunks = torch.split(x_RLE, self.chunk_rows)
        return torch.cat([self.forward(layer, chunk).cpu() for chunk in chunks])

    @torch.no_grad()
    @narrow_products()
    def inputs_of(
        self,
        layer: StudiedLayer,
        x_RLE: Tensor,
        takers: Mapping[StudiedLinear, Callable[[Tensor], None]],
    ) -> None:
        """Give each taker the inputs of its linear, [T, I] of some rows at a time, in one pass.

        Where there is one linear, what comes behind it does not run.
        """

        def watch(take: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
            def taken(x_TI: Tensor) -> None:
                take(x_TI)
                if len(takers) == 1:
                    raise _Seen

            return taken

        for linear, take in takers.items():
            linear.watch = watch(take)
        try:
            for chunk in torch.split(x_RLE, self.chunk_rows):
                try:
                    self.forward(layer, chunk)
                except _Seen:
                    continue
        finally:
            for linear in takers:
                linear.watch = None
