"""The array types of this package, and the letters that name their axes.

T tokens of a step, R rows, S sampling rows, E hidden size, V vocabulary, N query heads, K key-value heads, H head size,
P query tiles, Q queries of a tile, L keys. `q_TNH` has three axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
