"""A dense layer whose variables a checkpoint can fill."""

from __future__ import annotations

import keras

from workbench.backbones.layers.named import Named


class NamedDense(Named, keras.layers.Dense):
    """The dense layer of a task head; its kernel is (in, out)."""
