"""AdamW as its authors and PyTorch define it (Loshchilov & Hutter 2019, arXiv:1711.05101).

Keras adds epsilon before it corrects the bias of the second moment. That matters while gradients
are small, and so in the first steps of every adapter.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

Arrays = list[jax.Array]

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


class Moments(NamedTuple):
    """Running means of the gradients and of their squares, in the shapes of the variables."""

    first: Arrays
    second: Arrays

    @classmethod
    def zeros(cls, variables: Arrays) -> Moments:
        """Return the moments before the first step."""
        return cls([jnp.zeros_like(v) for v in variables], [jnp.zeros_like(v) for v in variables])


def clipped(gradients: Arrays, limit: float | None) -> tuple[Arrays, jax.Array]:
    """Scale the gradients down together if their norm exceeds the limit; also return the norm."""
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(gradient)) for gradient in gradients))
    if limit is None:
        return gradients, norm
    scale = jnp.minimum(1.0, limit / (norm + 1e-6))
    return [gradient * scale for gradient in gradients], norm


def updated(
    variables: Arrays,
    moments: Moments,
    gradients: Arrays,
    step: jax.Array,
    rate: jax.Array,
    decay: float,
) -> tuple[Arrays, Moments]:
    """Return the variables and moments after a step; `step` counts from 1."""

    def mean(before: jax.Array, new: jax.Array, kept: float) -> jax.Array:
        return kept * before + (1 - kept) * new

    first = [mean(m, g, FIRST_DECAY) for m, g in zip(moments.first, gradients, strict=True)]
    second = [mean(m, g * g, SECOND_DECAY) for m, g in zip(moments.second, gradients, strict=True)]
    corrections = [1 - kept**step for kept in (FIRST_DECAY, SECOND_DECAY)]

    def move(variable: jax.Array, slope: jax.Array, square: jax.Array) -> jax.Array:
        size = jnp.sqrt(square / corrections[1]) + EPSILON
        return variable * (1 - rate * decay) - rate * (slope / corrections[0]) / size

    return list(map(move, variables, first, second)), Moments(first, second)
