"""From Keras layers to nodes, by the shapes and dtypes of their variables: no number is read."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

import jax.numpy as jnp
import keras

from workbench.keras_internals import layers_within
from workbench.tree.describe import describe, order
from workbench.tree.node import Node, folded

_UNNAMED = re.compile(r"(?<=^dropout)_\d+$")  # Keras numbers what has no name of its own


class Walk:
    """Makes the nodes of one model. Weights and layers that two parts share are told where they
    come first."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def node(self, layer: keras.layers.Layer) -> Node:
        """A layer with all it holds."""
        parts = self.parts(layer)
        mode = layer.quantization_mode
        variables = [self._variable(one, mode) for one in self._unseen(layer.weights)]
        return Node(
            _UNNAMED.sub("", layer.name) if isinstance(layer, keras.layers.Dropout) else layer.name,
            kind=type(layer).__name__.removesuffix("Block"),
            detail=describe(layer),
            children=(*variables, *parts),
        )

    def parts(self, layer: keras.layers.Layer) -> tuple[Node, ...]:
        """The layers within a layer, equal ones as one."""
        within = layers_within(layer, recursive=False)
        real = [one for one in within if not isinstance(one, keras.layers.InputLayer)]
        places = {name: place for place, name in enumerate(order(layer))}
        if len(places) > 1:
            real.sort(key=lambda one: places.get(one.name, places[...]))
        return folded([self.node(one) for one in self._unseen(real)])

    def skip(self, layer: keras.layers.Layer) -> None:
        """Tell this layer nowhere: somebody else does."""
        self._seen.add(id(layer))

    def _unseen(self, things: list[Any]) -> list[Any]:
        new = [thing for thing in things if id(thing) not in self._seen]
        self._seen.update(map(id, new))
        return new

    def _variable(self, variable: keras.Variable, mode: str | None) -> Node:
        size, held = math.prod(variable.shape), variable.dtype
        codes = held == "int8" and not variable.name.endswith("_zero")
        dtype = mode if mode is not None and codes else held
        return Node(
            variable.name,
            detail=f"({', '.join(map(str, variable.shape))})",
            size=size,
            dtype=dtype,
            bytes=size * _bytes_of(held),
        )


@functools.cache
def _bytes_of(dtype: str) -> int:
    return jnp.dtype(dtype).itemsize
