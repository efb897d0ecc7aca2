"""Compute long sequences chunk by chunk, to bound the memory that grows with length squared."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

WHOLE = 512  # sequences up to this length are computed at once
CHUNK = 128

Parts = TypeVar("Parts")
Made = TypeVar("Made")


def at_once(length: int) -> int:
    """Return how many of `length` positions are computed at a time."""
    return length if length <= WHOLE else CHUNK


def in_chunks(function: Callable[[Parts], Made], parts: Parts) -> Made:
    """Compute `function(parts)`, for a function that treats each position separately.

    The backward pass computes each chunk again instead of keeping its intermediate values.

    Args:
        function: maps arrays (B, positions, ...), in any structure, to such arrays.
        parts: the arrays for all T positions.
    """
    length = jax.tree.leaves(parts)[0].shape[1]
    if length <= WHOLE:
        return function(parts)
    again = jax.checkpoint(function, prevent_cse=False)  # the loop separates the passes
    made = jax.lax.map(again, jax.tree.map(_cut, parts))
    return jax.tree.map(lambda part: _joined(part)[:, :length], made)


def _cut(part: jax.Array) -> jax.Array:
    """Cut (B, T, ...) into chunks (N, B, CHUNK, ...), the last padded with its last position."""
    length = part.shape[1]
    more = [(0, 0)] * part.ndim
    more[1] = (0, -length % CHUNK)
    padded = jnp.pad(part, more, mode="edge")
    return jnp.moveaxis(padded.reshape(len(part), -1, CHUNK, *part.shape[2:]), 1, 0)


def _joined(chunks: jax.Array) -> jax.Array:
    """Join chunks (N, B, CHUNK, ...) to (B, N * CHUNK, ...)."""
    chunks = jnp.moveaxis(chunks, 0, 1)
    return chunks.reshape(len(chunks), -1, *chunks.shape[3:])
