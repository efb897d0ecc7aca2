"""Looking on while a network runs: what its attention layers weigh, in the order they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_seen: ContextVar[list[jax.Array] | None] = ContextVar("attention_weights", default=None)


@contextmanager
def observing() -> Iterator[list[jax.Array]]:
    """While the block runs, each attention adds its weights to the list: (B, heads, T, S), each
    query's sum to 1. Inside a compiled function they are values of that function."""
    seen: list[jax.Array] = []
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def show(weights: jax.Array, total: jax.Array) -> None:
    """Called by an attention with what it weighs, (B, kv_heads, queries a head, T, S), and the
    sums (B, T, kv_heads, queries a head, 1) it divides by afterwards."""
    seen = _seen.get()
    if seen is not None:
        shares = weights / total[..., 0].transpose(0, 2, 3, 1)[..., None]
        seen.append(shares.reshape(len(shares), -1, *shares.shape[3:]))
