"""Draws by a user's `get_next_token`, one row at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import keras

from workbench.errors import SettingError
from workbench.samplers.choose import prepare, row_keys, scale
from workbench.samplers.history import History
from workbench.samplers.step_settings import StepSettings


def choose_by(
    get_next_token: Callable[[jax.Array], jax.Array],
    generators: Sequence[keras.random.SeedGenerator],
    logits: jax.Array,
    settings: StepSettings,
    seeds: jax.Array,
    step: jax.Array | int,
    history: History,
) -> jax.Array:
    """The next token of every row, (B,) int32. The arguments are those of `choose.choose`.

    A `SeedGenerator` counts its draws in a Keras variable. Inside a compiled step, a scope replaces
    that variable by a key made from the row's seed, the step and the generator's position. What a
    draw writes back ends with the scope: no traced value outlives the step, and the next step
    starts from a new key.
    """

    def one(probabilities: jax.Array, key: jax.Array) -> jax.Array:
        states = [
            (generator.state, jax.random.key_data(jax.random.fold_in(key, place)))
            for place, generator in enumerate(generators)
        ]
        with keras.StatelessScope(state_mapping=states, initialize_variables=False):
            token = jnp.asarray(get_next_token(probabilities[None]))
        if token.shape != (1,):
            raise SettingError(
                "get_next_token: expected one token id per row, shape (1,) for probabilities of "
                f"shape (1, {probabilities.size}), got shape {token.shape}"
            )
        return token[0].astype(jnp.int32)

    logits = scale(prepare(logits, settings, history), settings.temperature)
    return jax.vmap(one)(jax.nn.softmax(logits), row_keys(seeds, step))
