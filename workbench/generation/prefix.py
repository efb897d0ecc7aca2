"""What a session's model has read: ids, and their keys and values, kept from run to run.

A slot of the cache is a position, so a longer or changed prompt can go on from wherever it first
differs: what lies beyond is hidden and overwritten.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import jax
import numpy as np

from workbench.backbones.decoder import Cache


class Prefix:
    """The tokens that a session's last prompt and reply left in the cache of a model.

    It belongs to one session, and its memory goes with it. It may move between threads, used by
    one at a time. Other weights, or another model, make it worthless: it notices.
    """

    def __init__(self) -> None:
        self.reused = 0
        """How many tokens the last run did not have to read."""
        self._ids = np.zeros(0, np.int32)
        self._cache: Cache | None = None
        self._weights: list[weakref.ref[jax.Array]] = []

    def clear(self) -> None:
        """Forget everything and free its memory."""
        self._ids, self._cache, self._weights = self._ids[:0], None, []

    def take(
        self, prompt: np.ndarray, parameters: Sequence[jax.Array], stretched: bool
    ) -> Cache | None:
        """Hand over the cache of what it has in common with a prompt, `reused` tokens: at least
        one, and at least one is left to read. None where nothing can be reused. The prefix is
        empty until `keep`.

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
        """Take a cache whose first slots hold `ids`, int32 (N,), as `parameters` make them."""
        self._ids, self._cache = ids, cache
        self._weights = [weakref.ref(parameter) for parameter in parameters]

    def _fits(self, parameters: Sequence[jax.Array]) -> bool:
        return len(parameters) == len(self._weights) and all(
            known() is now for known, now in zip(self._weights, parameters, strict=True)
        )


def slots(cache: Cache) -> int:
    """How many positions a cache has."""
    return cache.layers[0].key.shape[1]
