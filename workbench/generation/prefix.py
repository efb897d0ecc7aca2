"""Keeps the token ids that a session's model has read, with their keys and values, between runs.

A slot of the cache is a position, so a longer or changed prompt can go on from the first token that
differs: the slots after it are masked and overwritten.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import jax
import numpy as np

from workbench.backbones.decoder import Cache


class Prefix:
    """The tokens that a session's last prompt and reply left in the cache of a model.

    It belongs to one session, and its memory is freed with it. Threads may share it, one at a
    time. It detects other weights or another model and then reuses nothing.
    """

    def __init__(self) -> None:
        self.reused = 0
        """The number of tokens that the last run did not have to read."""
        self._ids = np.zeros(0, np.int32)
        self._cache: Cache | None = None
        self._weights: list[weakref.ref[jax.Array]] = []

    def clear(self) -> None:
        """Forget everything and free its memory."""
        self._ids, self._cache, self._weights = self._ids[:0], None, []

    def take(
        self, prompt: np.ndarray, parameters: Sequence[jax.Array], stretched: bool
    ) -> Cache | None:
        """Hand over the cache of the `reused` tokens that it shares with a prompt: at least one,
        and at least one remains to be read. Return None if nothing can be reused. The prefix is
        then empty until `keep`.

        Args:
            prompt: token ids, int32 (N,).
            parameters: the arrays of the model that will go on.
            stretched: whether it will use longrope's long factors.
        """
        cache, ids, same = self._cache, self._ids, self._fits(parameters)
        self.clear()
        self.reused = 0
        if cache is None or not same or cache.stretched != stretched:
            return None
        size = min(len(ids), len(prompt) - 1)
        differs = np.flatnonzero(ids[:size] != prompt[:size])
        self.reused = int(differs[0]) if differs.size else size
        return cache if self.reused else None

    def keep(self, ids: np.ndarray, cache: Cache, parameters: Sequence[jax.Array]) -> None:
        """Keep a cache whose first slots hold `ids`, int32 (N,), computed with `parameters`."""
        self._ids, self._cache = ids, cache
        self._weights = [weakref.ref(parameter) for parameter in parameters]

    def _fits(self, parameters: Sequence[jax.Array]) -> bool:
        return len(parameters) == len(self._weights) and all(
            known() is now for known, now in zip(self._weights, parameters, strict=True)
        )


def slots(cache: Cache) -> int:
    """Return how many positions a cache has."""
    return cache.layers[0].key.shape[1]
