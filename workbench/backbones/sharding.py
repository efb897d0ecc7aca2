"""Spread weights over devices, by their names and as far as their shapes allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import keras

_shape: ContextVar[tuple[int, ...]] = ContextVar("shape_of_the_weight_being_made", default=())


@contextmanager
def making(shape: tuple[int, ...]) -> Iterator[None]:
    """Tell layout maps the shape of the weight that the block makes."""
    token = _shape.set(tuple(shape))
    try:
        yield
    finally:
        _shape.reset(token)


class FittingLayoutMap(keras.distribution.LayoutMap):
    """A layout map that splits an axis only if the number of devices divides it.

    Other axes, such as the single key and value head of Gemma 2B, stay whole on every device; Keras
    would refuse the model.
    """

    def __getitem__(self, key: str) -> keras.distribution.TensorLayout | None:
        layout = super().__getitem__(key)
        shape = _shape.get()
        if layout is None or len(layout.axes) != len(shape):
            return layout
        mesh = self.device_mesh
        devices = dict(zip(mesh.axis_names, mesh.shape, strict=True))
        axes = [
            None if axis is None or size % devices[axis] else axis
            for axis, size in zip(layout.axes, shape, strict=True)
        ]
        return keras.distribution.TensorLayout(axes, mesh)
