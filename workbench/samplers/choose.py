"""The sampling step: one program for greedy, random, top-k, top-p, min-p and every penalty. It is a
pure function of logits, settings and the seed of each row.

Of equal logits the lowest id comes first, except in the draw itself. So `top_k` keeps exactly k
tokens, and `top_k` 1 or a vanishing `top_p` is greedy decoding.

`inspection.distribution` and the page of the inspect panel have the cuts a second and a third time;
`tests/data/cuts.json` holds the three together.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from workbench.samplers.history import History, penalise
from workbench.samplers.order import SMALLEST, first, leading, ordered_bits
from workbench.samplers.step_settings import StepSettings

LARGEST_LOGIT = jnp.finfo(jnp.float32).max


def choose(
    logits: jax.Array,
    settings: StepSettings,
    seeds: jax.Array,
    step: jax.Array | int,
    history: History,
) -> jax.Array:
    """The next token of every row, (B,) int32.

    The order is: penalties, temperature, top-k, top-p of what is left, min-p, Gumbel argmax.

    Args:
        logits: (B, V).
        settings: scalars that all rows share.
        seeds: (B,) uint32. The noise of a row comes from its own seed and step alone, so a row
            draws the same in any batch.
        step: the number of the token, a scalar or (B,).
        history: the tokens that penalties apply to.
    """
    return draw(prepare(logits, settings, history), settings, row_keys(seeds, step))


def prepare(logits: jax.Array, settings: StepSettings, history: History) -> jax.Array:
    """Logits (B, V) float32 after the penalties, finite or minus infinity."""
    return finite(penalise(logits.astype(jnp.float32), settings, history))


def finite(logits: jax.Array) -> jax.Array:
    """Logits as float32 where plus infinity is the largest number and NaN is minus infinity."""
    logits = logits.astype(jnp.float32)
    return jnp.nan_to_num(logits, nan=-jnp.inf, posinf=LARGEST_LOGIT, neginf=-jnp.inf)


def row_keys(seeds: jax.Array, step: jax.Array | int) -> jax.Array:
    """A random key per row (B,), from its seed and the number of the step."""

    def key(seed: jax.Array, step: jax.Array) -> jax.Array:
        return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), step)

    seeds = jnp.asarray(seeds, jnp.uint32)
    return jax.vmap(key)(seeds, jnp.broadcast_to(jnp.asarray(step, jnp.uint32), seeds.shape))


def draw(logits: jax.Array, settings: StepSettings, keys: jax.Array) -> jax.Array:
    """A token per row (B,) int32 from prepared logits (B, V), with one random key per row."""

    def sample() -> jax.Array:
        noise = jax.vmap(lambda key: jax.random.gumbel(key, logits.shape[1:]))(keys)
        scaled = scale(logits, settings.temperature)
        return first(jnp.where(kept(logits, scaled, settings), scaled + noise, -jnp.inf))

    return lax.cond(settings.temperature < SMALLEST, lambda: first(ordered_bits(logits)), sample)


def scale(logits: jax.Array, temperature: ArrayLike) -> jax.Array:
    """Logits (B, V) divided by the temperature and shifted so that the largest is 0. At temperature
    0 all but the largest become minus infinity."""
    top = jnp.max(logits, axis=-1, keepdims=True)
    top = jnp.where(top == -jnp.inf, 0, top)
    # Outside these bounds the temperature, or its reciprocal, would be rounded to 0.
    return (logits - top) / jnp.clip(temperature, SMALLEST, 1 / SMALLEST)


def kept(logits: jax.Array, scaled: jax.Array, settings: StepSettings) -> jax.Array:
    """The tokens that the cuts keep, a bool mask (B, V). Tokens are ranked by their logits before
    the temperature, which could change the order only by rounding."""
    order = ordered_bits(logits)

    def top_k() -> jax.Array:
        target = jnp.full(logits.shape[:1], settings.top_k, jnp.float32)
        return leading(order, jnp.ones_like(logits), target)

    def top_p(keep: jax.Array) -> jax.Array:
        mass = jnp.where(keep, jnp.exp(scaled), 0)
        return keep & leading(order, mass, settings.top_p * jnp.sum(mass, axis=-1))

    keep = lax.cond(settings.top_k > 0, top_k, lambda: jnp.ones_like(logits, bool))
    keep = lax.cond(settings.top_p < 1, top_p, lambda keep: keep, keep)
    return keep & (scaled >= jnp.log(settings.min_p))
