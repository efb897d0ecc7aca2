"""Rematerialisation: recompute a block in the backward pass instead of keeping its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import keras

from workbench.errors import present
from workbench.keras_internals import current_scope

_on: ContextVar[bool] = ContextVar("rematerialising", default=False)


@contextmanager
def rematerialising(on: bool = True) -> Iterator[None]:
    """While the block runs, layers that call `recomputed` keep only their inputs."""
    token = _on.set(on)
    try:
        yield
    finally:
        _on.reset(token)


def recomputed(
    layer: keras.layers.Layer, forward: Callable[[jax.Array], jax.Array], x: jax.Array
) -> jax.Array:
    """Compute a layer's `forward(x)`; under `rematerialising` the backward pass runs it again.

    Rematerialisation needs an open `keras.StatelessScope`, within which gradients are taken.
    """
    if not _on.get():
        return forward(x)
    outer = present(current_scope(), "an open keras.StatelessScope")
    variables = layer.variables

    # Variables assigned inside, such as random states, must come out as values of the outer trace.
    def run(x: jax.Array, values: list[jax.Array]) -> tuple[jax.Array, list, list]:
        held = list(zip(variables, values, strict=True))
        with keras.StatelessScope(held, collect_losses=True) as scope:
            made = forward(x)
        return made, [scope.get_current_value(v) for v in variables], list(scope.losses)

    values = [outer.get_current_value(variable) for variable in variables]
    values = [v.value if new is None else new for v, new in zip(variables, values, strict=True)]
    made, after, losses = jax.checkpoint(run)(x, values)
    for variable, before, new in zip(variables, values, after, strict=True):
        if not variable.trainable and new is not None and new is not before:
            outer.add_update((variable, new))
    for loss in losses:
        outer.add_loss(loss)
    return made
