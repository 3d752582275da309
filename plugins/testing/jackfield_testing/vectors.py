"""Vectors and scores of the reference device: in the wanted size and form, and different for different texts."""

from __future__ import annotations

import math
import random
from array import array

from jackfield.pooling import CLASSES, PoolingParams


def vector_of(state: int, params: PoolingParams, size: int, num_classes: int) -> array[float]:
    """The vector of a text, from the state behind its last token; `size` is the size of a whole vector."""
    numbers = random.Random(state)
    if params.token_ids or params.output == CLASSES:
        scores = [numbers.random() for _ in params.token_ids or range(num_classes)]
        is_shared = params.activation and len(scores) > 1
        total = sum(scores) if is_shared else 1.0
        return array("f", (score / total for score in scores))
    values = [numbers.uniform(-1, 1) for _ in range(params.dimensions or size)]
    length = math.hypot(*values) if params.normalize else 1.0
    return array("f", (value / length for value in values))
