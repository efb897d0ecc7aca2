"""Layers that can hold their matrices as integers instead of floats.

While a preset loads, a layer takes the file's integers as they are, or quantises the floats it has
just read, so that at most one matrix is in memory in both forms.
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
from workbench.backbones.keras_types import LayerMixin, array_of
from workbench.backbones.layers.integers import KINDS, Int4, Int8, Shape
from workbench.backbones.precision import check_mode, quantized_policy
from workbench.keras_internals import current_path, mark_quantized


@dataclass(frozen=True)
class Matrix:
    """A matrix of a layer: its name, and the sizes of its output axes and its input axes."""

    name: str
    outputs: Shape
    inputs: Shape

    @property
    def shape(self) -> Shape:
        """The sizes of all axes, outputs first."""
        return (*self.outputs, *self.inputs)

    def two_axes(self, values: np.ndarray) -> np.ndarray:
        """Merge the axes of its values to (outputs, inputs)."""
        return values.reshape(math.prod(self.outputs), -1)


@dataclass(frozen=True)
class IntegerMatrix:
    """The variables that hold a matrix's integers, in the order of the fields of `kind`."""

    matrix: Matrix
    kind: type[Int8] | type[Int4]
    variables: tuple[keras.Variable, ...]

    @property
    def value(self) -> Int8 | Int4:
        """The integers, with one output axis and one input axis."""
        outputs, inputs = math.prod(self.matrix.outputs), math.prod(self.matrix.inputs)
        shapes = self.kind.shapes((outputs,), (inputs,))
        arrays = map(array_of, self.variables)
        return self.kind(*(a.reshape(s) for a, s in zip(arrays, shapes, strict=True)))

    @property
    def floats(self) -> jax.Array:
        """The decoded matrix (outputs, inputs)."""
        return self.value.floats(math.prod(self.matrix.inputs))


class Quantizable(LayerMixin):
    """Mix-in before `Named` and a Keras layer: the layer can hold its matrices as integers.

    The codes of a matrix are in a variable of its name, the scales in `<name>_scale` and, for int4,
    the zero points in `<name>_zero`.
    """

    quantizable: ClassVar[bool] = True
    first_matrix: ClassVar[str]

    @property
    def matrix_names(self) -> tuple[str, ...]:
        """The names of the layer's matrices."""
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

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Turn the floats into integers, and free their memory.

        Raises:
            SettingError: the mode is neither "int8" nor "int4".
        """
        kind = check_mode(mode)
        policy = quantized_policy(kind, self.dtype_policy)
        with weights.loading(None):  # a preset that is being loaded has only the floats
            for matrix, values in self._release():
                self._hold(kind, matrix, KINDS[kind].of(matrix.two_axes(values)))
        mark_quantized(self)
        self.dtype_policy = policy

    def _release(self) -> Iterator[tuple[Matrix, np.ndarray]]:
        """Yield each matrix and its floats, and remove them from the layer."""
        raise NotImplementedError

    def _hold(self, mode: str, matrix: Matrix, values: Int8 | Int4 | None = None) -> None:
        """Make the variables of a matrix: with these values, or from the loader, or zeros."""
        kind = KINDS[mode]
        shapes = kind.shapes(matrix.outputs, matrix.inputs)
        variables = []
        for index, (field, shape) in enumerate(zip(kind._fields, shapes, strict=True)):
            given = "zeros" if values is None else _constant(values[index])
            name = matrix.name if field == "codes" else f"{matrix.name}_{field}"
            dtype = self.variable_dtype if field == "scale" else "int8"
            made = self.add_weight(shape, given, dtype=dtype, trainable=False, name=name)
            variables.append(made)
        self._keep(IntegerMatrix(matrix, kind, tuple(variables)))

    def _keep(self, integers: IntegerMatrix) -> None:
        """Store a matrix's integers on the layer."""
        raise NotImplementedError


def _constant(values: jax.Array | np.ndarray) -> Any:
    return lambda shape, dtype: jax.numpy.asarray(values.reshape(shape), dtype)
