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
    if watched(name):
        _watch.get()[1][name] = value
    return value


def watched(name: str) -> bool:
    """Whether somebody looks at the values of that name."""
    watch = _watch.get()
    return watch is not None and any(fnmatchcase(name, pattern) for pattern in watch[0])
