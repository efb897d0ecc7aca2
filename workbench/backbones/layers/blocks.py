"""Long sequences block by block, so that what grows with the square of their length stays small."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

WHOLE = 512  # places up to which all are computed at once
BLOCK = 128

Parts = TypeVar("Parts")
Made = TypeVar("Made")


def at_once(length: int) -> int:
    """How many of so many places are computed at a time."""
    return length if length <= WHOLE else BLOCK


def in_blocks(function: Callable[[Parts], Made], parts: Parts) -> Made:
    """`function(parts)`, for a function that treats every place by itself.

    The backward pass computes each block again: nothing is kept of what it made on the way.

    Args:
        function: of arrays (B, places, ...) in any structure, to such arrays.
        parts: the arrays of all T places.
    """
    length = jax.tree.leaves(parts)[0].shape[1]
    if length <= WHOLE:
        return function(parts)
    again = jax.checkpoint(function, prevent_cse=False)  # the loop keeps it apart
    made = jax.lax.map(again, jax.tree.map(_cut, parts))
    return jax.tree.map(lambda part: _joined(part)[:, :length], made)


def _cut(part: jax.Array) -> jax.Array:
    """(B, T, ...) as blocks (N, B, BLOCK, ...), the last filled up with its last place."""
    length = part.shape[1]
    more = [(0, 0)] * part.ndim
    more[1] = (0, -length % BLOCK)
    padded = jnp.pad(part, more, mode="edge")
    return jnp.moveaxis(padded.reshape(len(part), -1, BLOCK, *part.shape[2:]), 1, 0)


def _joined(blocks: jax.Array) -> jax.Array:
    """Blocks (N, B, BLOCK, ...) side by side, (B, N * BLOCK, ...)."""
    blocks = jnp.moveaxis(blocks, 0, 1)
    return blocks.reshape(len(blocks), -1, *blocks.shape[3:])
