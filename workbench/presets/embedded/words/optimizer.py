"""The optimizer of the recipe: Muon for the matrices, Adam for tables, norms, biases and the head.

Muon is that of the stories (`../stories/muon.py`); the names of variables tell which are matrices.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from workbench.presets.embedded.stories.muon import orthogonalized

MATRIX_RATE, OTHER_RATE = 0.02, 0.002
MOMENTUM, BETA1, BETA2 = 0.95, 0.9, 0.98

Arrays = list[jax.Array]


class State(NamedTuple):
    """Per variable: the momentum, and for Adam's variables the second moment; and a step count."""

    first: Arrays
    second: Arrays
    step: jax.Array


def initial(variables: Arrays) -> State:
    """Zeros, in the shapes of the variables."""
    zeros = [jnp.zeros_like(v) for v in variables]
    return State(zeros, [jnp.zeros_like(v) for v in variables], jnp.zeros((), jnp.int32))


def rows(path: str, shape: tuple[int, ...]) -> int | None:
    """How many outputs the kernel at a path has; None for what is no matrix inside the network."""
    if not path.endswith("/kernel") or path.startswith("head"):
        return None
    outputs = 2 if path.endswith(("query/kernel", "key/kernel", "value/kernel")) else 1
    return math.prod(shape[:outputs])


def update(
    paths: list[str], variables: Arrays, grads: Arrays, state: State, rate: jax.Array
) -> tuple[Arrays, State]:
    """One step; `rate` in [0, 1] scales both learning rates."""
    step = state.step + 1
    made = []
    for path, *arrays in zip(paths, variables, grads, state.first, state.second, strict=True):
        outputs = rows(path, arrays[0].shape)
        one = _adam(step, *arrays, rate) if outputs is None else _muon(outputs, *arrays, rate)
        made.append(one)
    variables, first, second = (list(part) for part in zip(*made, strict=True))
    return variables, State(first, second, step)


def _adam(step, v, g, m, s, rate):  # noqa: ANN001
    m = BETA1 * m + (1 - BETA1) * g
    s = BETA2 * s + (1 - BETA2) * g * g
    corrected = jnp.sqrt(s / (1 - BETA2**step)) + 1e-8
    return v - rate * OTHER_RATE * m / (1 - BETA1**step) / corrected, m, s


def _muon(outputs, v, g, m, s, rate):  # noqa: ANN001
    m = MOMENTUM * m + g
    flat = (g + MOMENTUM * m).reshape(outputs, -1)
    stretch = max(1, flat.shape[0] / flat.shape[1]) ** 0.5
    return v - rate * MATRIX_RATE * orthogonalized(flat).reshape(v.shape) * stretch, m, s
