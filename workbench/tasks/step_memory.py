"""Checks that a step of Keras's `fit`, `evaluate` and `predict` fits into the memory.

The check runs while JAX traces a step: the shapes of its batch are known then, and nothing is
allocated yet. JAX traces each new shape, so each is checked once.
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

STATES = 2  # numbers that Adam keeps for each trained number
ADVICE = "Take a smaller batch_size, shorter texts, or an adapter: lm.adapters.add(name)."
_TEXTS = ("token_ids", "decoder_token_ids", "encoder_token_ids")


def admit_optimizer(model: keras.Model) -> None:
    """Refuse training if the optimizer's state does not exist yet and would not fit.

    Raises:
        MemoryTooSmallError: the state would not fit into the memory.
    """
    if model.optimizer is not None and not model.optimizer.built:
        numbers = sum(math.prod(variable.shape) for variable in model.trainable_variables)
        width = jnp.dtype(model.backbone.variable_dtype).itemsize
        admit("the optimizer of fit()", STATES * width * numbers, ADVICE)


def admit_step(model: keras.Model, batch: Any, trained: Any = ()) -> None:
    """Refuse a step that would not fit into the memory.

    Args:
        model: a task.
        batch: the arrays the step reads; the first are the model's inputs.
        trained: the trained values of a training step; empty for others.

    Raises:
        MemoryTooSmallError: it would not fit; the message says how to need less.
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
    """Return the rows and the longest length of a batch's texts."""
    named = inputs if isinstance(inputs, Mapping) else {}
    parts = [named[name] for name in _TEXTS if name in named] or jax.tree.leaves(inputs)
    shapes = [part.shape for part in parts if part.ndim > 1]
    return max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
