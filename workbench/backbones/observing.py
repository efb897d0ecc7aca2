"""Observe a network while it runs: its layers report intermediate values by stable names.

A name is the layer's path, as in its variables, and the kind of value:
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
    """Collect the values whose names match a pattern (`*` matches anything) while the block runs.

    The dict is filled in the order in which the values are computed. Within a function that JAX
    traces, they are tracers of that function.
    """
    seen: Seen = {}
    token = _watch.set((patterns, seen))
    try:
        yield seen
    finally:
        _watch.reset(token)


def observed(name: str, value: jax.Array) -> jax.Array:
    """Report a value under a name to the observer, if there is one, and return it."""
    watch = _watch.get()
    if watch is not None and _matches(name, watch[0]):
        watch[1][name] = value
    return value


def watched(name: str) -> bool:
    """Whether an observer collects values of that name."""
    watch = _watch.get()
    return watch is not None and _matches(name, watch[0])


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
