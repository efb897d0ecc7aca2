"""A dense layer whose variables can be filled from a checkpoint."""

from __future__ import annotations

import keras

from workbench.backbones.layers.named import Named


class NamedDense(Named, keras.layers.Dense):
    """A dense layer of a head, kernel (in, out)."""
