"""The private parts of Keras that the product uses: nothing else names one.

Each function says what it relies on. `tests/test_keras_internals.py` runs all of them against the
installed Keras, and `pyproject.toml` excludes the minor versions for which nobody has run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
from keras.src.backend.common import global_state, name_scope, stateless_scope
from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.trainers import data_adapters
from keras.src.trainers.data_adapters.data_adapter import DataAdapter
from keras.src.utils.tracking import Tracker

if TYPE_CHECKING:
    Model = keras.Model
else:  # a mix-in before `keras.Model` has no base of its own
    Model = object

__all__ = ["DataAdapter", "Model"]

SAVED_PARTS = (KerasSaveable, Tracker)
"""Layers, optimizers, metrics and random states, and what lists the parts of a layer."""

KERNEL, TABLE = "_kernel", "_embeddings"
"""The attributes with the floats of an `EinsumDense` and of an `Embedding`: the public `kernel`
and `embeddings` compute them where they are integers."""

CACHED_EVALUATION = "_use_cached_eval_dataset"
"""The argument with which `fit` calls `evaluate` on data that it has prepared."""

TRAINED, OTHERS = "trainable_variables", "non_trainable_variables"
OPTIMIZER, METRICS = "optimizer_variables", "metrics_variables"
# What the states of Keras's JAX trainer hold, by their length: of predicting, testing, training.
_STATES = {
    2: (TRAINED, OTHERS),
    3: (TRAINED, OTHERS, METRICS),
    4: (TRAINED, OTHERS, OPTIMIZER, METRICS),
}


def current_path() -> str:
    """The path of the layer that is being built, such as `decoder_block_3/attention/query`."""
    return name_scope.current_path()


def current_scope() -> keras.StatelessScope | None:
    """The `keras.StatelessScope` that this thread is in."""
    return stateless_scope.get_stateless_scope()


def thread_state() -> dict[str, Any]:
    """What Keras keeps for this thread: its open scopes and the counters of its names."""
    return vars(global_state.GLOBAL_STATE_TRACKER)


def layers_within(layer: Any, recursive: bool = True) -> list[Any]:
    """The layers that a layer holds, without itself; those of its own attributes alone where it
    is not `recursive`."""
    return layer._flatten_layers(include_self=False, recursive=recursive)


def stored_value(variable: Any) -> Any:
    """The array of a variable, None where it has been taken: `value` would raise."""
    return variable._value


@contextmanager
def unlocked(layer: Any) -> Iterator[None]:
    """While the block runs, a layer that is built takes new variables."""
    layer._tracker.unlock()
    try:
        yield
    finally:
        layer._tracker.lock()


def disown(layer: Any, variable: keras.Variable) -> None:
    """Take a variable off the lists of a layer."""
    layer._untrack_variable(variable)


def delete_variable(layer: Any, attribute: str) -> None:
    """Delete a variable of a layer. `delattr`, which Keras has for it, collects all garbage of the
    process each time, which takes longer than quantising a matrix."""
    disown(layer, getattr(layer, attribute))
    object.__delattr__(layer, attribute)


def mark_quantized(layer: Any) -> None:
    """Tell Keras that a layer holds integers: setting its policy would quantise it again."""
    layer._is_quantized = True


def trained_by(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables for which an optimizer that is built has state."""
    return optimizer._trainable_variables


def compiled_parts(model: Any) -> list[Any]:
    """The objects that `compile` has made and that building changes."""
    made = (model.optimizer, model._compile_metrics, model._compile_loss)
    return [part for part in made if part is not None]


def reads_as_it_is(dataset: Any) -> bool:
    """Whether Keras has an adapter for this dataset of another library."""
    return (
        data_adapters.is_tf_dataset(dataset)
        or data_adapters.is_torch_dataloader(dataset)
        or data_adapters.is_grain_dataset(dataset)
    )


def know_state(model: Any, state: tuple[Any, ...]) -> None:
    """From here on `model.jax_state_sync` takes the values of the variables from this state."""
    known = dict(zip(_STATES[len(state)], state, strict=True))
    object.__setattr__(model, "_jax_state", known)  # setattr would track all the arrays
    model._jax_state_synced = False


def forget_state(model: Any) -> None:
    """Let go of the arrays of the last state."""
    model._jax_state = None


class TrainerHooks(Model):
    """Mix-in before `keras.Model`: gives names to private steps of its JAX trainer, which a class
    overrides to do something around them."""

    def take_state(self, take: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Keras takes the values out of the variables: `take` does it and returns them."""
        return take()

    def build_once(self, build: Callable[[], None]) -> None:
        """Keras builds metrics and losses before the first step: `build` does it."""
        build()

    def _get_jax_state(self, **which: bool) -> tuple[Any, ...]:
        return self.take_state(partial(super()._get_jax_state, **which))

    def _symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        self.build_once(partial(super()._symbolic_build, *args, **kwargs))
