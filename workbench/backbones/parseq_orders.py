"""The reading orders that PARSeq trains on, and their attention masks.

An order is a permutation of 0 to n + 1: 0 is the start token, 1 to n are the characters, n + 1 is
the end. Each character is predicted from those before it in the order, wherever they are in the
text (Bautista and Atienza 2022, section 3).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from workbench.kinds import integer


def check_orders(num_perms: int) -> None:
    """Refuse anything but a positive integer."""
    integer(1).check("num_perms", num_perms)


def training_orders(
    key: jax.Array, characters: int, count: int, forward: bool = True, mirrored: bool = True
) -> jax.Array:
    """Draw orders int32 (K, characters + 2) for one training step.

    Args:
        key: random key for the drawn orders.
        characters: n.
        count: number of orders; with `mirrored` rounded down to an even number, at least 2.
        forward: whether the first order is left to right.
        mirrored: whether each order is followed by its reverse. The reverse of left to right
            begins with the end token.
    """
    if characters == 1:
        return jnp.arange(3, dtype=jnp.int32)[None]
    plain = max(count // 2, 1) if mirrored else count
    ahead = [jnp.arange(characters)] if forward else []
    keys = jax.random.split(key, plain)
    drawn = [jax.random.permutation(k, characters) for k in keys[: plain - len(ahead)]]
    inner = jnp.stack([*ahead, *drawn])
    if mirrored:
        inner = jnp.stack([inner, inner[:, ::-1]], axis=1).reshape(-1, characters)
    first = jnp.zeros((len(inner), 1), jnp.int32)
    orders = jnp.concatenate([first, inner + 1, jnp.full_like(first, characters + 1)], axis=1)
    if not (mirrored and forward):
        return orders
    return orders.at[1, 1:].set(characters + 1 - jnp.arange(characters + 1))


def order_masks(order: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the masks of an order int32 (n + 2,): two arrays bool (n + 1, n + 1).

    In the query stream, row t predicts token t + 1 and sees the tokens before that one in the
    order. In the content stream, row t is token t, and sees itself and the tokens before it.
    """
    when = jnp.argsort(order)
    asked, known = when[1:, None], when[None, :-1]
    return known < asked, known <= when[:-1, None]


def cloze_masks(length: int) -> tuple[jax.Array, jax.Array]:
    """Return the masks of refinement, bool (length, length): row t of the query stream predicts
    token t + 1 and sees all others; the content stream sees the tokens before each."""
    place = jnp.arange(length)
    asked, known = place[:, None] + 1, place[None, :]
    return known != asked, known < asked
