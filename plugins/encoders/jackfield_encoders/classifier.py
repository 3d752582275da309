"""The classification head that most encoders have: a linear and an activation of the first token, then the classes."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import read_classifier
from jackfield.model_spec import ModelSpec, ModuleSource
from jackfield.pooling import CLS


def with_classes(
    spec: ModelSpec, config: ConfigReader, *, dense: str, out: str, activation: str = "tanh"
) -> ModelSpec:
    """Add the head to an encoder. `dense` and `out` are the names of the head's linears in the checkpoint."""
    heads = {"classifier.dense": ModuleSource(dense), "classifier.out": ModuleSource(out)}
    return replace(
        spec,
        classifier=read_classifier(config, pooling=CLS, dense=True, activation=activation),
        modules={**spec.modules, **heads},
    )
