"""The optimizer of the recipes: Muon for matrices, Adam for tables, norms, biases and heads.

Muon (Jordan et al. 2024) steps along the momentum with its singular values set to about one; five
Newton-Schulz iterations do that without an SVD. On these models it needs about half of Adam's
steps. A kernel of more than two axes is a matrix if its number of rows is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

MOMENTUM, BETA1, BETA2 = 0.95, 0.9, 0.98
LARGEST_MATRIX = 2048  # a variable with a first axis this long is a token table
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)

Arrays = list[jax.Array]


class State(NamedTuple):
    """Per variable: the momentum, and for Adam's variables the second moment; and a step count."""

    first: Arrays
    second: Arrays
    step: jax.Array


@dataclass(frozen=True)
class Muon:
    """Updates a list of variables.

    Attributes:
        rows: for each variable, its rows as a matrix; None if Adam updates it.
        matrix_rate: learning rate of the matrices.
        other_rate: learning rate of everything else.
        rate_first: whether a matrix's step takes its rate before it is stretched. Only rounding
            differs: each recipe keeps the numbers that its network was trained with.
    """

    rows: tuple[int | None, ...]
    matrix_rate: float
    other_rate: float
    rate_first: bool = False

    def initial(self, variables: Arrays) -> State:
        """Return zeros in the shapes of the variables; matrices need no second moment."""
        pairs = zip(self.rows, variables, strict=True)
        second = [jnp.zeros_like(v) if rows is None else jnp.zeros(()) for rows, v in pairs]
        return State([jnp.zeros_like(v) for v in variables], second, jnp.zeros((), jnp.int32))

    def update(
        self, variables: Arrays, grads: Arrays, state: State, rate: jax.Array
    ) -> tuple[Arrays, State]:
        """Take one step; `rate` in [0, 1] scales both learning rates."""
        step, made = state.step + 1, []
        each = zip(self.rows, variables, grads, state.first, state.second, strict=True)
        for rows, v, g, m, s in each:
            if rows is None:
                made.append(self._adam(step, v, g, m, s, rate))
            else:
                made.append((*self._muon(rows, v, g, m, rate), s))
        variables, first, second = (list(part) for part in zip(*made, strict=True))
        return variables, State(first, second, step)

    def _adam(self, step, v, g, m, s, rate):  # noqa: ANN001
        m = BETA1 * m + (1 - BETA1) * g
        s = BETA2 * s + (1 - BETA2) * g * g
        corrected = jnp.sqrt(s / (1 - BETA2**step)) + 1e-8
        return v - rate * self.other_rate * m / (1 - BETA1**step) / corrected, m, s

    def _muon(self, rows, v, g, m, rate):  # noqa: ANN001
        m = MOMENTUM * m + g
        flat = (g + MOMENTUM * m).reshape(rows, -1)
        stretch = max(1, flat.shape[0] / flat.shape[1]) ** 0.5
        if self.rate_first:
            step = rate * self.matrix_rate * orthogonalized(flat).reshape(v.shape)
            return v - step * stretch, m
        step = orthogonalized(flat).reshape(v.shape) * stretch
        return v - rate * self.matrix_rate * step, m


def rows_by_shape(shape: tuple[int, ...]) -> int | None:
    """Return the rows of a variable of this shape; None for vectors and token tables.

    (D, H, K) has D, and (H, K, D) has H K: D is the wide end. The kernel of patches, (D, height,
    width, channels), has D.
    """
    if len(shape) < 2 or shape[0] >= LARGEST_MATRIX:
        return None
    into_width = len(shape) == 3 and shape[0] <= shape[2]
    return shape[0] * shape[1] if into_width else shape[0]


def rows_by_name(path: str, shape: tuple[int, ...]) -> int | None:
    """Return the rows of the variable at a path: its outputs, if it is an inner kernel."""
    if not path.endswith("/kernel") or path.startswith("head"):
        return None
    outputs = 2 if path.endswith(("query/kernel", "key/kernel", "value/kernel")) else 1
    return math.prod(shape[:outputs])


def orthogonalized(matrix: jax.Array) -> jax.Array:
    """Return the matrix with all singular values pushed to about one."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
