"""Packing: several texts share a row, and none attends to another.

A padding mask (B, T) may number the texts of a row 1, 2, 3 ... from left to right, with 0 at
padding. The usual mask of zeros and ones is the case of one text in a row.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def text_positions(mask: jax.Array) -> jax.Array:
    """Return each token's position within its text, int32 (B, T), given the mask (B, T)."""
    numbers = jax.lax.cummax(mask.astype(jnp.int32), axis=1)  # padding counts on
    begins = jnp.diff(numbers, axis=1, prepend=numbers[:, :1]) > 0
    places = jnp.broadcast_to(jnp.arange(mask.shape[1]), mask.shape)
    return places - jax.lax.cummax(jnp.where(begins, places, 0), axis=1)


def same_text(places: jax.Array, slots: jax.Array) -> jax.Array:
    """Return which slots each query may see, bool (B, T, S): those of its own text.

    `places` (B, T) and `slots` (B, S) are the masks of queries and slots. Padding may see every
    token that is not padding.
    """
    slots, places = slots.astype(jnp.int32)[:, None, :], places.astype(jnp.int32)[:, :, None]
    return (slots > 0) & ((slots == places) | (places < 1))
