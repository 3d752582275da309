"""The layers around pooling: the final norm before it, linears and a classification head after it, in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield.discovery.selected import open_checkpoint
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import ModelSpec
from jackfield.pooling import CLASSES, Classifier, Dense, PoolingParams
from jackfield_torch.layers.activation import activation_function
from jackfield_torch.layers.compose import TensorFunction, chain, identity
from jackfield_torch.layers.norm import Norm, NormBuilder
from jackfield_torch.loader import WeightShard, tensor_of


@dataclass(frozen=True, slots=True)
class Linear32:
    """A linear in float32. Each text needs only one small product."""

    weight_OI: Tensor
    bias_O: Tensor | None

    def __call__(self, x_PE: Tensor) -> Tensor:
        return F.linear(x_PE, self.weight_OI, self.bias_O)


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorHead:
    """From pooled hidden states to vectors or scores."""

    norm: Norm  # applied to the hidden states before pooling
    dense: TensorFunction  # the linears after pooling
    classifier: TensorFunction | None  # the classification head
    scoring: str  # scoring of the classifier
    # Gives the logits of the vocabulary from hidden states before the norm. None: the model has no head.
    logits: Callable[[Tensor], Tensor] | None

    def __call__(self, pooled_PE: Tensor, params: PoolingParams) -> Tensor:
        """Vectors, or scores of classes, of P texts; float32."""
        if params.output == CLASSES:
            assert self.classifier is not None, "the request was checked"
            scores_PC = self.classifier(pooled_PE)
            if self.scoring == "none" or not params.activation:
                return scores_PC
            return scores_PC.sigmoid() if self.scoring == "sigmoid" else scores_PC.softmax(-1)
        vector_PE = self.dense(pooled_PE)
        if params.dimensions is not None:
            vector_PE = vector_PE[:, : params.dimensions]
        return F.normalize(vector_PE, dim=-1) if params.normalize else vector_PE

    def of_tokens(self, hidden_PE: Tensor, params: PoolingParams) -> Tensor:
        """Scores of some tokens as the next token, from hidden states before the norm; float32."""
        assert self.logits is not None, "the request was checked"
        scores_PC = self.logits(hidden_PE)[:, list(params.token_ids)].float()
        return scores_PC.softmax(-1) if params.activation else scores_PC


def build_vector_head(
    spec: ModelSpec,
    norms: NormBuilder,
    shard: WeightShard,
    dense: TensorFunction,
    logits: Callable[[Tensor], Tensor] | None,
) -> VectorHead:
    """Read the final norm and the classification head. `dense` comes from `read_dense`."""
    classifier = spec.classifier
    return VectorHead(
        norm=norms.norm(spec.final_norm, "final_norm", spec.hidden_size),
        dense=dense,
        classifier=_classifier(classifier, norms, shard, spec.hidden_size) if classifier else None,
        scoring=classifier.scoring if classifier else "none",
        logits=logits,
    )


def read_dense(context: WorkerContext, device: torch.device) -> TensorFunction:
    """The linears after pooling, each from a folder of its own beside the model. Raises ModelError."""
    pooling = context.spec.pooling
    parts = pooling.dense if pooling is not None else ()
    return chain(*(_dense(context, dense, device) for dense in parts))


def _dense(context: WorkerContext, dense: Dense, device: torch.device) -> TensorFunction:
    folder = replace(context.files, path=context.files.path / dense.folder)
    with open_checkpoint(replace(context, files=folder)) as checkpoint:

        def read(name: str, shape: tuple[int, ...]) -> Tensor:
            info = checkpoint.tensors[name]
            tensor = tensor_of(checkpoint.read(name), info, info.shape, copy=True)
            return tensor.to(device, torch.float32).reshape(shape)

        weight_OI = read("linear.weight", (dense.out_size, dense.in_size))
        bias_O = read("linear.bias", (dense.out_size,)) if dense.bias else None
    return chain(Linear32(weight_OI, bias_O), _activation(dense.activation))


def _classifier(
    classifier: Classifier, norms: NormBuilder, shard: WeightShard, size: int
) -> TensorFunction:
    steps: list[TensorFunction] = []
    if classifier.dense:
        steps.append(_linear(shard, "classifier.dense", size, size, bias=classifier.dense_bias))
    steps.append(_activation(classifier.activation))
    steps.append(norms.function(classifier.norm, "classifier.norm", size))
    num_classes = classifier.num_classes
    steps.append(_linear(shard, "classifier.out", size, num_classes, bias=classifier.bias))
    return chain(*steps)


def _linear(
    shard: WeightShard, module: str, in_size: int, out_size: int, *, bias: bool
) -> Linear32:
    return Linear32(
        shard.whole(module, "weight", (out_size, in_size)),
        shard.whole(module, "bias", (out_size,)) if bias else None,
    )


def _activation(name: str | None) -> TensorFunction:
    if name is None:
        return identity
    return torch.tanh if name == "tanh" else activation_function(name)
