"""ALiBi: a penalty on attention scores that grows linearly with distance."""

from __future__ import annotations

import math

import numpy as np


def slopes(heads: int) -> np.ndarray:
    """The penalty per position of each head, float32 (heads,), as Press et al. (2022) give them.

    A geometric series where the number of heads is a power of two; else the series of the power
    below, filled up with every second slope of the power above.
    """
    power = 2 ** math.floor(math.log2(heads))
    series = [2.0 ** (-8.0 * (head + 1) / power) for head in range(power)]
    between = [2.0 ** (-8.0 * (head + 1) / (2 * power)) for head in range(0, 2 * power, 2)]
    return np.array((series + between)[:heads], np.float32)
