"""Makes nodes of Keras layers from the shapes and dtypes of variables, without reading numbers."""

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

_UNNAMED = re.compile(r"(?<=^dropout)_\d+$")  # Keras numbers layers without a name


class Walk:
    """Makes the nodes of one model. A weight or layer that two parts share appears only in the
    first."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def node(self, layer: keras.layers.Layer) -> Node:
        """Return the node of a layer with all its parts."""
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
        """Return the nodes of the layers inside a layer; equal ones are one node."""
        within = layers_within(layer, recursive=False)
        real = [one for one in within if not isinstance(one, keras.layers.InputLayer)]
        places = {name: place for place, name in enumerate(order(layer))}
        if len(places) > 1:
            real.sort(key=lambda one: places.get(one.name, places[...]))
        return folded([self.node(one) for one in self._unseen(real)])

    def skip(self, layer: keras.layers.Layer) -> None:
        """Leave this layer out of the tree: another node describes it."""
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
