"""Looking on while a network runs: its layers show what they make, by stable names.

A name is the layer's path, as its variables have it, and what the value is:
`decoder_block_0/attention/weights`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase

import jax

Seen = dict[str, jax.Array]

_watch: ContextVar[tuple[tuple[str, ...], Seen] | None] = ContextVar("observing", default=None)


@contextmanager
def observing(*patterns: str) -> Iterator[Seen]:
    """While the block runs, values whose names match a pattern (`*` matches anything) are put
    into the dict, in the order in which they are made. Inside a compiled function they are values
    of that function."""
    seen: Seen = {}
    token = _watch.set((patterns, seen))
    try:
        yield seen
    finally:
        _watch.reset(token)


def shown(name: str, value: jax.Array) -> jax.Array:
    """The value, which whoever looks on sees under that name."""
    if _wanted(name):
        _watch.get()[1][name] = value
    return value


def show_weights(path: str, weights: jax.Array, total: jax.Array) -> None:
    """Called by the attention of that path with what it weighs, (B, kv_heads, queries a head, T,
    S), and the sums (B, T, kv_heads, queries a head, 1) it divides by afterwards. Seen are the
    shares (B, heads, T, S), each query's sum 1."""
    name = f"{path}/weights"
    if _wanted(name):
        shares = weights / total[..., 0].transpose(0, 2, 3, 1)[..., None]
        shown(name, shares.reshape(len(shares), -1, *shares.shape[3:]))


def _wanted(name: str) -> bool:
    watch = _watch.get()
    return watch is not None and any(fnmatchcase(name, pattern) for pattern in watch[0])
