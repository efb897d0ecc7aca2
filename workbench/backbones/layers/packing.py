"""Several texts in one row, none of which sees another.

A padding mask (B, T) may number the texts of a row 1, 2, 3 ... from left to right, with 0 at
padding. A mask of zeros and ones is the usual one: a row holds one text.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def text_positions(mask: jax.Array) -> jax.Array:
    """The position of each place in its text, int32 (B, T)."""
    numbers = jax.lax.cummax(mask.astype(jnp.int32), axis=1)  # padding counts on
    begins = jnp.diff(numbers, axis=1, prepend=numbers[:, :1]) > 0
    places = jnp.broadcast_to(jnp.arange(mask.shape[1]), mask.shape)
    return places - jax.lax.cummax(jnp.where(begins, places, 0), axis=1)


def same_text(places: jax.Array, slots: jax.Array) -> jax.Array:
    """Which slot each place may see, bool (B, T, S), given the masks of places (B, T) and of slots
    (B, S): those of its own text. Padding may see all that is not padding."""
    slots, places = slots.astype(jnp.int32)[:, None, :], places.astype(jnp.int32)[:, :, None]
    return (slots > 0) & ((slots == places) | (places < 1))
