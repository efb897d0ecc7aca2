"""The tokens that each row has seen, and the penalties for repeating them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from workbench.samplers.step_settings import StepSettings


class History(NamedTuple):
    """Which tokens the prompts of a batch hold, and how often each was generated."""

    prompt: jax.Array  # (B, V) bool
    counts: jax.Array  # (B, V) int32

    @classmethod
    def start(cls, ids: jax.Array, mask: jax.Array, vocabulary_size: int) -> History:
        """The history of padded prompts: `ids` (B, T) int32; `mask` (B, T) is true at tokens and
        false at padding."""
        ids = jnp.asarray(ids, jnp.int32)
        shape = (ids.shape[0], vocabulary_size)
        prompt = jnp.zeros(shape, bool).at[_rows(ids), ids].max(jnp.asarray(mask, bool))
        return cls(prompt, jnp.zeros(shape, jnp.int32))

    def add(self, ids: jax.Array, mask: jax.Array | bool = True) -> History:
        """The history with generated tokens counted.

        Args:
            ids: (B,), one token a row, or (B, N).
            mask: of the same shape, false at tokens that do not count.

        Donated counts are updated in place.
        """
        ids = jnp.asarray(ids, jnp.int32)
        once = jnp.broadcast_to(jnp.asarray(mask, jnp.int32), ids.shape)
        return self._replace(counts=jnp.asarray(self.counts).at[_rows(ids), ids].add(once))


def _rows(ids: jax.Array) -> jax.Array:
    rows = jnp.arange(ids.shape[0])
    return rows if ids.ndim == 1 else rows[:, None]


def penalise(logits: jax.Array, settings: StepSettings, history: History) -> jax.Array:
    """Logits (B, V) float32 after the penalties: repetition as in CTRL (Keskar et al. 2019), over
    prompt and completion; then presence and frequency, over the completion only."""
    repetition = settings.repetition_penalty
    presence, frequency = settings.presence_penalty, settings.frequency_penalty

    def apply(x: jax.Array) -> jax.Array:
        generated = history.counts > 0
        repeated = jnp.where(x > 0, x / repetition, x * repetition)
        x = jnp.where(history.prompt | generated, repeated, x)
        return x - presence * generated - frequency * history.counts

    wanted = (repetition != 1) | (presence != 0) | (frequency != 0)
    return lax.cond(wanted, apply, lambda x: x, logits)
