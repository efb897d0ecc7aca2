"""What a step of Keras's `fit`, `evaluate` and `predict` takes beside the model, and its door.

A step is asked about while JAX traces it: then the shapes of its batch are known, and nothing of
it is allocated. Each new shape is traced, so each is asked about once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.estimates import peaks
from workbench.estimates.sizes import Sizes
from workbench.memory.door import admit
from workbench.memory.free_memory import on_cpu

STATES = 2  # numbers that Adam keeps for each trained one
ADVICE = "Take a smaller batch_size, shorter texts, or an adapter: lm.adapters.add(name)."
_TEXTS = ("token_ids", "decoder_token_ids", "encoder_token_ids")


def admit_optimizer(model: keras.Model) -> None:
    """Refuse training where the optimizer's state would not fit, if it is not there yet.

    Raises:
        MemoryTooSmallError: it would not.
    """
    if model.optimizer is not None and not model.optimizer.built:
        numbers = sum(math.prod(variable.shape) for variable in model.trainable_variables)
        width = jnp.dtype(model.backbone.variable_dtype).itemsize
        admit("the optimizer of fit()", STATES * width * numbers, ADVICE)


def admit_step(model: keras.Model, batch: Any, trained: Any = ()) -> None:
    """Refuse a step that would not fit into the memory.

    Args:
        model: a task.
        batch: what the step reads; the model's inputs are the first.
        trained: the values that are trained, where it trains.

    Raises:
        MemoryTooSmallError: it would not; the message says what takes less.
    """
    inputs = batch[0] if isinstance(batch, tuple | list) else batch
    rows, length = _shape(inputs)
    sizes, compute = Sizes.of_backbone(model.backbone), model.backbone.compute_dtype
    computed = peaks.WIDE if on_cpu() else jnp.dtype(compute).itemsize
    if sizes.images is not None:
        length += sizes.images.ahead
    if trained:
        gradients = sum(value.size * value.dtype.itemsize for value in trained)
        needed = peaks.training(sizes, computed, rows, length) + gradients
    else:
        logits = 3 * rows * length * sizes.vocabulary * peaks.WIDE
        needed = peaks.reading(sizes, computed, rows, length) + logits
    what = "training" if trained else "evaluating"
    admit(f"{what} with batches of {rows} x {length} tokens", needed, ADVICE)


def _shape(inputs: Any) -> tuple[int, int]:
    """Rows and places of a batch's longest texts."""
    named = inputs if isinstance(inputs, Mapping) else {}
    parts = [named[name] for name in _TEXTS if name in named] or jax.tree.leaves(inputs)
    shapes = [part.shape for part in parts if part.ndim > 1]
    return max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
