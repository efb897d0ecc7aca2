"""ALiBi: a penalty on attention scores that grows linearly with distance."""

from __future__ import annotations

import math

import numpy as np


def slopes(heads: int) -> np.ndarray:
    """Return the penalty per position of each head, float32 (heads,); Press et al. (2022).

    The slopes are a geometric series if the number of heads is a power of two. Otherwise they are
    the series for the next lower power, then every second slope for the next higher one.
    """
    power = 2 ** math.floor(math.log2(heads))
    series = [2.0 ** (-8.0 * (head + 1) / power) for head in range(power)]
    between = [2.0 ** (-8.0 * (head + 1) / (2 * power)) for head in range(0, 2 * power, 2)]
    return np.array((series + between)[:heads], np.float32)
