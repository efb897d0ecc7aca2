"""Measures of distributions and of the actual tokens, inside a compiled program."""

from __future__ import annotations

from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp

from workbench.backbones.decoder import Decoder
from workbench.generation.programs import AnyArray
from workbench.samplers.choose import finite

TOGETHER = 16  # rows whose logits are in memory at the same time: a vocabulary may be large


class Measures(NamedTuple, Generic[AnyArray]):
    """Measures of R distributions. `ids` int32 and `logprobs` float32 (R, A) are the likeliest
    tokens, equal ones by ascending id. `token_logprobs` float32 and `token_ranks` int32 (R,) are
    those of the actual token; rank 1 is the likeliest. `entropies` float32 (R,) are in nats."""

    ids: AnyArray
    logprobs: AnyArray
    token_logprobs: AnyArray
    token_ranks: AnyArray
    entropies: AnyArray


def measure(backbone: Decoder, hidden: jax.Array, tokens: jax.Array, count: int) -> Measures:
    """Return the measures of the distributions for hidden states (R, width) and of the actual
    tokens (R,) int32, with the `count` likeliest tokens of each."""
    rows = len(hidden)
    blocks = -(-rows // TOGETHER)
    more = blocks * TOGETHER - rows
    hidden = jnp.pad(hidden, ((0, more), (0, 0))).reshape(blocks, TOGETHER, -1)
    tokens = jnp.pad(tokens, (0, more)).reshape(blocks, TOGETHER)
    found = jax.lax.map(
        lambda pair: _measure(backbone.logits(pair[0]), pair[1], count), (hidden, tokens)
    )
    return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:])[:rows], found)


def _measure(logits: jax.Array, tokens: jax.Array, count: int) -> Measures:
    logprobs = jax.nn.log_softmax(finite(logits), axis=-1)
    best, ids = jax.lax.top_k(logprobs, count)
    own = jnp.take_along_axis(logprobs, tokens[:, None], axis=-1)
    earlier = jnp.arange(logprobs.shape[-1]) < tokens[:, None]
    ahead = (logprobs > own) | ((logprobs == own) & earlier)
    terms = jnp.where(logprobs > -jnp.inf, jnp.exp(logprobs) * logprobs, 0.0)
    return Measures(ids, best, own[:, 0], 1 + jnp.sum(ahead, axis=-1), -jnp.sum(terms, axis=-1))
