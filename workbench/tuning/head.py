"""Computes the loss of hidden states and its gradient with few rows of logits in memory at once.

The head is frozen while adapters train, so the forward pass can compute the gradient of each piece
of logits at once (Hsu et al. 2024, arXiv:2410.10989, section 3.2). That takes two products with the
vocabulary, and memory for one piece of logits instead of three times all logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

PIECE_NUMBERS = 2**25  # logits in memory at once; larger pieces are faster only up to about here

Logits = Callable[[jax.Array], jax.Array]


def summed_loss(
    logits: Logits, hidden: jax.Array, labels: jax.Array, weights: jax.Array
) -> jax.Array:
    """Return the weighted sum of the cross-entropies, float32 (). hidden is (N, width), labels and
    weights are (N,); `logits` maps hidden states to (N, vocabulary)."""
    scores = logits(hidden).astype(jnp.float32)
    right = jnp.take_along_axis(scores, labels[:, None], axis=-1)[:, 0]
    return jnp.sum(weights * (jax.nn.logsumexp(scores, axis=-1) - right))


def loss_in_pieces(
    logits: Logits,
    hidden: jax.Array,
    labels: jax.Array,
    weights: jax.Array,
    vocabulary: int,
    gradient: bool = True,
) -> tuple[jax.Array, jax.Array | None]:
    """Return `summed_loss` of hidden (B, T, width), labels and weights (B, T), and its gradient
    with respect to hidden, or None if `gradient` is False."""
    rows = math.prod(hidden.shape[:2])
    piece = max(1, min(rows, PIECE_NUMBERS // vocabulary))
    count = -(-rows // piece)

    def pieces(values: jax.Array, *width: int) -> jax.Array:
        flat = values.reshape(rows, *width)
        more = [(0, count * piece - rows), *((0, 0) for _ in width)]
        return jnp.pad(flat, more).reshape(count, piece, *width)

    def one(part: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array | None]:
        if not gradient:
            return summed_loss(logits, *part), None
        return jax.value_and_grad(lambda h: summed_loss(logits, h, *part[1:]))(part[0])

    parts = pieces(hidden, hidden.shape[-1]), pieces(labels), pieces(weights)
    if count > 1:
        losses, back = jax.lax.map(one, parts)
    else:
        losses, back = one((parts[0][0], parts[1][0], parts[2][0]))
    if back is not None:
        back = back.reshape(count * piece, -1)[:rows].reshape(hidden.shape)
    return jnp.sum(losses), back
