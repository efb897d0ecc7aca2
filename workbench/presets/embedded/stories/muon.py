"""The optimizer of the recipe: Muon for matrices, Adam for the token table and the norms.

Muon (Jordan et al. 2024) steps along the momentum with its singular values set to about one; five
Newton-Schulz iterations do that without an SVD. On this model it needs about half of Adam's steps.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

MATRIX_RATE, OTHER_RATE = 0.015, 0.003
MOMENTUM, BETA1, BETA2 = 0.95, 0.9, 0.98
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)

Arrays = list[jax.Array]


class State(NamedTuple):
    """Per variable: the momentum, and for Adam's variables the second moment; and a step count."""

    first: Arrays
    second: Arrays
    step: jax.Array


def initial(variables: Arrays) -> State:
    """Zeros, in the shapes of the variables; Muon's own need no second moment."""
    second = [jnp.zeros(()) if is_matrix(v) else jnp.zeros_like(v) for v in variables]
    return State([jnp.zeros_like(v) for v in variables], second, jnp.zeros((), jnp.int32))


def is_matrix(variable: jax.Array) -> bool:
    """Whether Muon steps this variable: every kernel, but not the table of 2048 tokens."""
    return variable.ndim > 1 and variable.shape[0] < 2048


def update(variables: Arrays, grads: Arrays, state: State, rate: jax.Array) -> tuple[Arrays, State]:
    """One step; `rate` in [0, 1] scales both learning rates."""
    step = state.step + 1
    results = [
        _muon(v, g, m, rate) if is_matrix(v) else _adam(v, g, m, s, rate, step)
        for v, g, m, s in zip(variables, grads, state.first, state.second, strict=True)
    ]
    variables, first, second = (list(part) for part in zip(*results, strict=True))
    return variables, State(first, second, step)


def _adam(v, g, m, s, rate, step):  # noqa: ANN001
    m = BETA1 * m + (1 - BETA1) * g
    s = BETA2 * s + (1 - BETA2) * g * g
    corrected = jnp.sqrt(s / (1 - BETA2**step)) + 1e-8
    return v - rate * OTHER_RATE * m / (1 - BETA1**step) / corrected, m, s


def _muon(v, g, m, rate):  # noqa: ANN001
    m = MOMENTUM * m + g
    flat = _as_matrix(g + MOMENTUM * m)
    stretch = max(1, flat.shape[0] / flat.shape[1]) ** 0.5
    step = orthogonalized(flat).reshape(v.shape) * stretch
    return v - rate * MATRIX_RATE * step, m, jnp.zeros(())


def _as_matrix(kernel: jax.Array) -> jax.Array:
    """(D, H, K) as (D, H K), and (H, K, D) as (H K, D): D is the wide end. The kernel of patches,
    (D, height, width, channels), as D rows."""
    if kernel.ndim == 2:
        return kernel
    if kernel.ndim == 4:
        return kernel.reshape(len(kernel), -1)
    out_of_heads = kernel.shape[0] > kernel.shape[2]
    return (
        kernel.reshape(kernel.shape[0], -1) if out_of_heads else kernel.reshape(-1, kernel.shape[2])
    )


def orthogonalized(matrix: jax.Array) -> jax.Array:
    """The matrix with all singular values pushed to about one."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
