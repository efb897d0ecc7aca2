"""Contrastive search (Su et al. 2022) prefers likely tokens whose hidden states differ from the
earlier ones, so that the text does not go in circles."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from workbench.errors import SettingError
from workbench.samplers.checks import integer, number, within_vocabulary
from workbench.samplers.choose import finite, scale
from workbench.samplers.loop import Loop
from workbench.samplers.order import SMALLEST
from workbench.samplers.search import SearchSampler


class ContrastiveSampler(SearchSampler, closed=True):
    """Takes, of the `k` likeliest tokens, the one of the largest
    `(1 - alpha) * probability - alpha * similarity`, where similarity is the largest cosine
    between its hidden state and those of the tokens before it.

    Args:
        k: an integer from 1 on; how many candidates to weigh.
        alpha: a number from 0 to 1; 0 is greedy decoding, 1 looks at unlikeness alone.
        temperature: a finite number above 0; divides the logits before the softmax.
    """

    k = integer("top_k")
    alpha = number("alpha")

    def __init__(self, k: int = 5, alpha: float = 0.6, *, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.k = k
        self.alpha = alpha

    @property
    def program(self) -> Hashable:
        return "contrastive", self.k

    def check_vocabulary(self, vocabulary_size: int) -> None:
        within_vocabulary(self, "k", vocabulary_size)

    def _run(self, loop: Loop) -> jax.Array:
        if loop.hidden_states is None:
            raise SettingError("ContrastiveSampler: hidden_states: expected (B, T, D), got None")
        return fill_contrasted(self, loop)

    def get_config(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "k": self.k, "alpha": self.alpha}


def candidates(
    logits: jax.Array, k: int, temperature: ArrayLike = 1.0
) -> tuple[jax.Array, jax.Array]:
    """The k likeliest tokens of each row, (B, k) int32, and their probabilities, (B, k) float32,
    best first, from logits (B, V)."""
    probabilities = jax.nn.softmax(scale(finite(logits), temperature))
    best, tokens = lax.top_k(probabilities, k)
    return tokens, best


def contrast(
    probabilities: jax.Array,
    hidden_states: jax.Array,
    previous: jax.Array,
    mask: jax.Array,
    alpha: ArrayLike,
) -> jax.Array:
    """Choose a candidate for each row.

    Args:
        probabilities: of the candidates, (B, k).
        hidden_states: of the candidates, (B, k, D).
        previous: hidden states of the tokens before them, (B, L, D).
        mask: which of those count, (B, L) bool. Where none does, all candidates are unlike.
        alpha: the weight of unlikeness.

    Returns:
        The index of the candidate, (B,) int32 from 0 to k - 1.
    """
    cosines = jnp.einsum("bkd,bld->bkl", _direction(hidden_states), _direction(previous))
    similarity = jnp.max(jnp.where(mask[:, None, :], cosines, -1), axis=-1)
    return jnp.argmax((1 - alpha) * probabilities - alpha * similarity, axis=-1)


def _direction(x: jax.Array) -> jax.Array:
    x = x.astype(jnp.float32)
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), SMALLEST)


def fill_contrasted(sampler: ContrastiveSampler, loop: Loop) -> jax.Array:
    """KerasHub's direct call: the prompt (B, T), filled. Each candidate is run through `next`,
    whose logits and hidden state then serve the following column."""
    batch, length = loop.tokens.shape
    k = sampler.k
    rows = jnp.arange(batch) * k
    wide = loop.repeated(k)

    def repeat(x: jax.Array) -> jax.Array:
        return jnp.repeat(x, k, axis=0)

    def advance(state: tuple) -> tuple:
        tokens, cache, index, logits, hidden = state
        new, probabilities = candidates(logits, k, sampler.temperature)
        trial = wide.write(repeat(tokens), index, new.reshape(-1))
        outcome = loop.next(trial, jax.tree.map(repeat, cache), index + 1)
        states = outcome[1].reshape(batch, k, -1)
        before = jnp.broadcast_to(jnp.arange(length) < index, tokens.shape)
        best = rows + contrast(probabilities, states, hidden, before, sampler.alpha)
        logits, taken, cache = jax.tree.map(lambda x: x[best], outcome)
        return (
            trial[best],
            cache,
            index + 1,
            logits,
            hidden.at[:, index].set(taken.astype(hidden.dtype)),
        )

    logits, _, cache = loop.next(loop.tokens, loop.cache, loop.start)
    sampler.check_vocabulary(logits.shape[-1])
    state = loop.tokens, cache, loop.start, logits, loop.hidden_states
    return lax.while_loop(lambda state: loop.running(state[0], state[2]), advance, state)[0]
