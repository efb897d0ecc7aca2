"""The private parts of Keras that the package uses; no other module names one.

Each function says what it relies on. `tests/test_keras_internals.py` runs all of them against the
installed Keras, and `pyproject.toml` excludes minor versions without such a run.
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
    ModelMixin = keras.Model
else:  # a mix-in before `keras.Model` has no base of its own
    ModelMixin = object

__all__ = ["DataAdapter", "ModelMixin"]

SAVED_PARTS = (KerasSaveable, Tracker)
"""Layers, optimizers, metrics and random states, and the tracker that lists a layer's parts."""

KERNEL, TABLE = "_kernel", "_embeddings"
"""The attributes with the floats of an `EinsumDense` and of an `Embedding`. For integer weights,
the public `kernel` and `embeddings` compute the floats."""

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
    """Return the path of the layer being built, such as `decoder_block_3/attention/query`."""
    return name_scope.current_path()


def current_scope() -> keras.StatelessScope | None:
    """Return the `keras.StatelessScope` that this thread is in, or None."""
    return stateless_scope.get_stateless_scope()


def thread_state() -> dict[str, Any]:
    """Return Keras's state for this thread: its open scopes and the counters of its names."""
    return vars(global_state.GLOBAL_STATE_TRACKER)


def layers_within(layer: Any, recursive: bool = True) -> list[Any]:
    """Return the layers inside a layer, without itself; if not `recursive`, only its direct
    ones."""
    return layer._flatten_layers(include_self=False, recursive=recursive)


def stored_value(variable: Any) -> Any:
    """Return the array of a variable, or None if it was taken out, where `value` would raise."""
    return variable._value


@contextmanager
def unlocked(layer: Any) -> Iterator[None]:
    """Let a built layer take new variables inside the block."""
    layer._tracker.unlock()
    try:
        yield
    finally:
        layer._tracker.lock()


def disown(layer: Any, variable: keras.Variable) -> None:
    """Remove a variable from the lists of a layer."""
    layer._untrack_variable(variable)


def delete_variable(layer: Any, attribute: str) -> None:
    """Delete a variable of a layer. Keras's `delattr` collects all garbage of the process each
    time, which takes longer than quantising a matrix."""
    disown(layer, getattr(layer, attribute))
    object.__delattr__(layer, attribute)


def mark_quantized(layer: Any) -> None:
    """Mark a layer as holding integers; setting its policy would quantise it again."""
    layer._is_quantized = True


def trained_by(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Return the variables for which a built optimizer has state."""
    return optimizer._trainable_variables


def compiled_parts(model: Any) -> list[Any]:
    """Return the objects that `compile` has made and that building changes."""
    made = (model.optimizer, model._compile_metrics, model._compile_loss)
    return [part for part in made if part is not None]


def reads_as_it_is(dataset: Any) -> bool:
    """Return whether Keras has an adapter for this dataset of another library."""
    return (
        data_adapters.is_tf_dataset(dataset)
        or data_adapters.is_torch_dataloader(dataset)
        or data_adapters.is_grain_dataset(dataset)
    )


def know_state(model: Any, state: tuple[Any, ...]) -> None:
    """Make `model.jax_state_sync` take the variables' values from this state."""
    known = dict(zip(_STATES[len(state)], state, strict=True))
    object.__setattr__(model, "_jax_state", known)  # setattr would track all the arrays
    model._jax_state_synced = False


def forget_state(model: Any) -> None:
    """Release the arrays of the last state."""
    model._jax_state = None


class TrainerHooks(ModelMixin):
    """Mix-in before `keras.Model`: names private steps of its JAX trainer, so that a class can
    override them."""

    def take_state(self, take: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Take the values out of the variables: call Keras's `take`, which returns them."""
        return take()

    def build_once(self, build: Callable[[], None]) -> None:
        """Build metrics and losses before the first step: call Keras's `build`."""
        build()

    def _get_jax_state(self, **which: bool) -> tuple[Any, ...]:
        return self.take_state(partial(super()._get_jax_state, **which))

    def _symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        self.build_once(partial(super()._symbolic_build, *args, **kwargs))
