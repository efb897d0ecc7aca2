"""The orders in which PARSeq learns to read, and what each place sees in an order.

An order is a permutation of 0 to n + 1: 0 stands for the start token, 1 to n for the characters and
n + 1 for the end. A character is read from those before it in the order, wherever they stand in the
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
    """Orders int32 (K, characters + 2) for one step of training.

    Args:
        key: decides the random ones.
        characters: n.
        count: how many; with `mirrored` an odd count is rounded down, but to 2 at least.
        forward: the first is left to right.
        mirrored: each order is followed by its mirror image, in which the last character comes
            first. The first order's is right to left, and there the end comes before all.
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
    """What an order int32 (n + 2,) lets each place see: two masks bool (n + 1, n + 1).

    Of the query stream: row t, which reads token t + 1, sees the tokens before that one in the
    order. Of the content stream: row t, token t, sees those too and itself.
    """
    when = jnp.argsort(order)
    asked, known = when[1:, None], when[None, :-1]
    return known < asked, known <= when[:-1, None]


def cloze_masks(length: int) -> tuple[jax.Array, jax.Array]:
    """The masks of refinement, bool (length, length): row t of the query stream, which reads token
    t + 1, sees all others; the content stream sees what is before it."""
    place = jnp.arange(length)
    asked, known = place[:, None] + 1, place[None, :]
    return known != asked, known < asked
