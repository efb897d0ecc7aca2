"""Beam search keeps several completions side by side and returns the likeliest."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from workbench.samplers.checks import flag, integer, within_vocabulary
from workbench.samplers.choose import finite, scale
from workbench.samplers.loop import Loop
from workbench.samplers.search import SearchSampler


class BeamSampler(SearchSampler, closed=True):
    """Keeps the `num_beams` completions with the largest sum of log-probabilities. There is no
    length penalty, and a beam that has written a stop token is still scored.

    Args:
        num_beams: an integer from 1 on; how many completions to keep.
        return_all_beams: whether to return all beams, best first, with their scores, instead of
            the best alone.
        temperature: a finite number above 0; divides the logits before the softmax.
    """

    num_beams = integer("num_beams")
    return_all_beams = flag("return_all_beams")

    def __init__(
        self, num_beams: int = 5, return_all_beams: bool = False, *, temperature: float = 1.0
    ) -> None:
        super().__init__(temperature)
        self.num_beams = num_beams
        self.return_all_beams = return_all_beams

    @property
    def program(self) -> Hashable:
        return "beam", self.num_beams

    def check_vocabulary(self, vocabulary_size: int) -> None:
        within_vocabulary(self, "num_beams", vocabulary_size)

    def _run(self, loop: Loop) -> Any:
        return fill_beams(self, loop)

    def get_config(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "num_beams": self.num_beams,
            "return_all_beams": self.return_all_beams,
        }


def first_scores(batch: int, num_beams: int) -> jax.Array:
    """Scores (B, N) to start from, float32. All beams are still the same, so only the first may
    expand. The others are far behind, not impossible: a row may have fewer tokens than beams."""
    return jnp.full((batch, num_beams), -1e9, jnp.float32).at[:, 0].set(0)


def expand(
    logits: jax.Array, scores: jax.Array, temperature: ArrayLike = 1.0
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Find the best continuations of all beams of a row: one step of the search.

    Args:
        logits: (B*N, V), the beams of a row one after the other.
        scores: (B, N) float32, sums of natural log-probabilities.
        temperature: divides the logits.

    Returns:
        Tokens (B, N) int32, the beam that each continues (B, N) int32, and the new scores (B, N)
        float32, best first.
    """
    batch, beams = scores.shape
    likelihoods = jnp.log(jax.nn.softmax(scale(finite(logits), temperature)))
    totals = scores[..., None] + likelihoods.reshape(batch, beams, -1)
    best, places = lax.top_k(totals.reshape(batch, -1), beams)
    size = totals.shape[-1]
    return places % size, places // size, best


def follow(parents: jax.Array, tree: Any) -> Any:
    """Reorder the leading axis (B*N) of every array of `tree` so that beam n of a row becomes its
    beam `parents` (B, N)."""
    beams = parents.shape[1]
    rows = (jnp.arange(len(parents))[:, None] * beams + parents).reshape(-1)
    return jax.tree.map(lambda x: x[rows], tree)


def fill_beams(sampler: BeamSampler, loop: Loop) -> Any:
    """KerasHub's direct call: the best completion (B, T), or all of them (B, N, T), best first,
    with their scores (B, N)."""
    batch, length = loop.tokens.shape
    beams = sampler.num_beams
    loop = loop.repeated(beams)

    def advance(state: tuple) -> tuple:
        tokens, cache, index, scores = state
        logits, _, cache = loop.next(tokens, cache, index)
        sampler.check_vocabulary(logits.shape[-1])
        logits = jnp.broadcast_to(logits, (batch * beams, logits.shape[-1]))
        new, parents, totals = expand(logits, scores, sampler.temperature)
        inside = loop.mask[::beams, index, None]  # still in the row's own prompt: nothing to score
        parents = jnp.where(inside, jnp.arange(beams), parents)
        scores = jnp.where(inside, scores, totals)
        tokens, cache = follow(parents, (tokens, cache))
        return loop.write(tokens, index, new.reshape(-1)), cache, index + 1, scores

    state = loop.tokens, loop.cache, loop.start, first_scores(batch, beams)
    state = lax.while_loop(lambda state: loop.running(state[0], state[2]), advance, state)
    tokens, scores = state[0].reshape(batch, beams, length), state[3]
    return (tokens, scores) if sampler.return_all_beams else tokens[:, 0]
