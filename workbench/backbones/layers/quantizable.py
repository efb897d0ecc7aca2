"""Layers that can hold their matrices as integers in place of floats.

While a preset is loaded, a layer takes the integers of the file as they are, or turns the floats
that it has just been given into integers, so that no more than one matrix is there as both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import keras
import numpy as np

from workbench.backbones import weights
from workbench.backbones.layers.integers import KINDS, Int4, Int8, Shape
from workbench.backbones.precision import quantized_policy
from workbench.keras_internals import current_path, mark_quantized


@dataclass(frozen=True)
class Matrix:
    """A matrix of a layer: its name, and the axes that are its outputs and its inputs."""

    name: str
    outputs: Shape
    inputs: Shape

    @property
    def shape(self) -> Shape:
        """All axes."""
        return (*self.outputs, *self.inputs)

    def two_axes(self, values: np.ndarray) -> np.ndarray:
        """Its values as (outputs, inputs)."""
        return values.reshape(math.prod(self.outputs), -1)


@dataclass(frozen=True)
class Held:
    """The variables with the integers of a matrix, in the order of the fields of their kind."""

    matrix: Matrix
    kind: type[Int8] | type[Int4]
    variables: tuple[keras.Variable, ...]

    @property
    def value(self) -> Int8 | Int4:
        """The integers as they are computed with."""
        outputs, inputs = math.prod(self.matrix.outputs), math.prod(self.matrix.inputs)
        shapes = self.kind.shapes((outputs,), (inputs,))
        arrays = map(keras.ops.convert_to_tensor, self.variables)
        return self.kind(*(a.reshape(s) for a, s in zip(arrays, shapes, strict=True)))

    @property
    def floats(self) -> jax.Array:
        """The numbers they stand for, (outputs, inputs)."""
        return self.value.floats(math.prod(self.matrix.inputs))


class Quantizable:
    """Mix-in before `Named` and a Keras layer. The integers of a matrix are variables of its name
    and of that name with `_scale` added, and for int4 with `_zero` added."""

    quantizable: ClassVar[bool] = True
    first_matrix: ClassVar[str]

    @property
    def matrix_names(self) -> tuple[str, ...]:
        """The names of the matrices."""
        return (self.first_matrix,)

    def build(self, input_shape: Any = None) -> None:
        asked = weights.Quantization(None, None)
        if self.quantizable:
            asked = weights.quantization(f"{current_path()}/{self.first_matrix}")
        if asked.held is not None:
            self.dtype_policy = quantized_policy(asked.held, self.dtype_policy)
        super().build(input_shape)
        if asked.wanted is not None and asked.held is None:
            self.quantize(asked.wanted)

    def quantize(self, mode: str, type_check: bool = True, config: Any = None) -> None:
        """Turn the floats into integers; their memory is freed. Keras checks the mode."""
        policy = quantized_policy(mode, self.dtype_policy)
        with weights.loading(None):  # a file that is being loaded has floats
            for matrix, values in self._release():
                self._hold(mode, matrix, KINDS[mode].of(matrix.two_axes(values)))
        mark_quantized(self)
        self.dtype_policy = policy

    def _release(self) -> Iterator[tuple[Matrix, np.ndarray]]:
        """Each matrix and its floats, which the layer no longer has."""
        raise NotImplementedError

    def _hold(self, mode: str, matrix: Matrix, values: Int8 | Int4 | None = None) -> None:
        """Make the variables for a matrix: with these values, or from a file, or zeros."""
        kind = KINDS[mode]
        shapes = kind.shapes(matrix.outputs, matrix.inputs)
        variables = []
        for index, (field, shape) in enumerate(zip(kind._fields, shapes, strict=True)):
            given = "zeros" if values is None else _constant(values[index])
            name = matrix.name if field == "codes" else f"{matrix.name}_{field}"
            dtype = self.variable_dtype if field == "scale" else "int8"
            made = self.add_weight(shape, given, dtype=dtype, trainable=False, name=name)
            variables.append(made)
        self._keep(Held(matrix, kind, tuple(variables)))

    def _keep(self, held: Held) -> None:
        """Take a matrix's integers."""
        raise NotImplementedError


def _constant(values: np.ndarray) -> Any:
    return lambda shape, dtype: jax.numpy.asarray(values.reshape(shape), dtype)
