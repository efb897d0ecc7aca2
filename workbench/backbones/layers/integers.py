"""Matrices quantised to integers: how to make them and multiply by them.

A matrix has its outputs on the first axis and its inputs on the second.

int8, as in Keras: one scale for each output maps the largest number of a row to 127. The rows that
a matrix multiplies are rounded to 8 bits too, each with its own scale.

int4: groups of 128 inputs share a scale and a zero point; a byte holds two codes. The rows that a
matrix multiplies are not rounded. A number is (code - zero) * scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

GROUP = 128
_LARGEST, _EPSILON = 127, 1e-7
_LOWEST, _HIGHEST = -8, 7
# Numbers decoded at once on CPU: a piece of this size stays in the core's cache.
_PIECE = 2**17
AT_ONCE = 2**22  # numbers quantised at once

Shape = tuple[int, ...]
Arrays = TypeVar("Arrays", bound=tuple[jax.Array, ...])


class Int8(NamedTuple):
    """codes int8 (outputs, inputs); scale (outputs,): a number is code / scale."""

    codes: jax.Array
    scale: jax.Array

    @classmethod
    def of(cls, matrix: np.ndarray) -> Int8:
        """Quantise a float matrix (outputs, inputs); the scale has its dtype."""
        return _row_by_row(cls._of, matrix)

    @classmethod
    def _of(cls, matrix: np.ndarray) -> Int8:
        wide = matrix.astype(np.float32, copy=False)
        peak = np.abs(wide).max(axis=1) + np.float32(_EPSILON)
        scale = (_LARGEST / peak).astype(matrix.dtype)
        codes = np.rint(wide * scale.astype(np.float32)[:, None])
        return cls(codes.clip(-_LARGEST, _LARGEST).astype(np.int8), scale)

    def floats(self, inputs: int) -> jax.Array:
        """Decode the matrix (outputs, inputs) to the scale's dtype."""
        return self.codes.astype(self.scale.dtype) / self.scale[:, None]

    @staticmethod
    def shapes(outputs: Shape, inputs: Shape) -> tuple[Shape, ...]:
        """Return the shapes of codes and scale for several output or input axes."""
        return (*outputs, *inputs), outputs

    def product(self, rows: jax.Array) -> jax.Array:
        """Multiply rows (N, inputs), rounded to 8 bits, by the matrix: (N, outputs)."""
        return _int8_product(rows, self)


class Int4(NamedTuple):
    """codes int8 (outputs, bytes), even inputs in the low 4 bits; scale (outputs, groups) and zero,
    int8 of the same shape."""

    codes: jax.Array
    scale: jax.Array
    zero: jax.Array

    @classmethod
    def of(cls, matrix: np.ndarray) -> Int4:
        """Quantise a float matrix (outputs, inputs); the scale has its dtype."""
        return _row_by_row(cls._of, matrix)

    @classmethod
    def _of(cls, matrix: np.ndarray) -> Int4:
        outputs, inputs = matrix.shape
        groups, size = _grouping(inputs)
        padded = np.pad(matrix.astype(np.float32), ((0, 0), (0, groups * size - inputs)))
        parts = padded.reshape(outputs, groups, size)
        low, high = parts.min(-1).clip(max=0), parts.max(-1).clip(min=0)
        scale = ((high - low + np.float32(_EPSILON)) / (_HIGHEST - _LOWEST)).astype(matrix.dtype)
        wide = scale.astype(np.float32)
        zero = np.rint(-low / wide).clip(0, _HIGHEST - _LOWEST) + _LOWEST
        codes = np.rint(parts / wide[..., None]) + zero[..., None]
        codes = codes.clip(_LOWEST, _HIGHEST).astype(np.int8).reshape(outputs, -1)
        packed = (codes[:, 0::2] & 15) | (codes[:, 1::2] << 4)
        return cls(packed, scale, zero.astype(np.int8))

    def floats(self, inputs: int) -> jax.Array:
        """Decode the matrix (outputs, inputs) to the scale's dtype."""
        even, odd = self.halves(self.scale.dtype)
        return jnp.stack([even, odd], -1).reshape(len(even), -1)[:, :inputs]

    @staticmethod
    def shapes(outputs: Shape, inputs: Shape) -> tuple[Shape, ...]:
        """Return the shapes of codes, scale and zero for several output or input axes."""
        rows, (groups, size) = math.prod(outputs), _grouping(math.prod(inputs))
        return (rows, groups * size // 2), (rows, groups), (rows, groups)

    def halves(self, dtype: jnp.dtype) -> tuple[jax.Array, jax.Array]:
        """Decode the even and the odd columns, both (outputs, bytes)."""
        grouped = self.codes.reshape(*self.scale.shape, -1).astype(jnp.int32)
        scale = self.scale.astype(dtype)[..., None]
        zero = self.zero.astype(dtype)[..., None]
        low = ((grouped << 28) >> 28).astype(dtype)  # the shift back copies the sign
        high = (grouped >> 4).astype(dtype)
        even, odd = (low - zero) * scale, (high - zero) * scale
        return even.reshape(self.codes.shape), odd.reshape(self.codes.shape)

    def product(self, rows: jax.Array) -> jax.Array:
        """Multiply rows (N, inputs) by the matrix: (N, outputs), in the rows' dtype."""
        room = 2 * self.codes.shape[1] - rows.shape[1]
        rows = jnp.pad(rows, ((0, 0), (0, room)))
        even, odd = rows[:, 0::2], rows[:, 1::2]

        def multiply(part: Int4) -> jax.Array:
            first, second = part.halves(rows.dtype)
            return even @ first.T + odd @ second.T

        return _in_pieces(multiply, self, 2 * self.codes.shape[1])


def _row_by_row(make: Callable[[np.ndarray], Any], matrix: np.ndarray) -> Any:
    """Compute `make(matrix)` some rows at a time, which keeps temporary arrays small."""
    step = max(1, AT_ONCE // matrix.shape[1])
    made = [make(matrix[start : start + step]) for start in range(0, len(matrix), step)]
    return type(made[0])(*map(np.concatenate, zip(*made, strict=True)))


def _grouping(inputs: int) -> tuple[int, int]:
    """Return the number of groups in a row of `inputs`, and their size, which is even."""
    size = min(GROUP, inputs + inputs % 2)
    return -(-inputs // size), size


KINDS: dict[str, type[Int8] | type[Int4]] = {"int8": Int8, "int4": Int4}


@jax.custom_vjp
def _int8_product(rows: jax.Array, matrix: Int8) -> jax.Array:
    wide = rows.astype(jnp.float32)
    row_scale = _LARGEST / (jnp.abs(wide).max(-1, keepdims=True) + _EPSILON)
    # Without the barrier XLA would round a row again for every output.
    rounded = jax.lax.optimization_barrier(jnp.rint(wide * row_scale))
    sums = _whole_numbers(rounded, matrix.codes)
    return (sums / (row_scale * matrix.scale.astype(jnp.float32))).astype(rows.dtype)


def _whole_numbers(rounded: jax.Array, codes: jax.Array) -> jax.Array:
    """Multiply codes, with float32 results; `rounded` holds whole numbers up to 127."""
    if jax.default_backend() != "cpu":
        return jax.lax.dot_general(
            rounded.astype(jnp.int8),
            codes,
            (((1,), (1,)), ((), ())),
            preferred_element_type=jnp.int32,
        ).astype(jnp.float32)
    # XLA has no fast integer product on CPU.
    if len(rounded) == 1:
        return jnp.sum(codes.astype(jnp.float32) * rounded[0], -1)[None]
    return _in_pieces(
        lambda part: rounded @ part[0].astype(jnp.float32).T, (codes,), codes.shape[1]
    )


def _int8_forward(rows: jax.Array, matrix: Int8) -> tuple[jax.Array, tuple[jax.Array, Int8]]:
    return _int8_product(rows, matrix), (rows, matrix)


def _int8_backward(saved: tuple[jax.Array, Int8], change: jax.Array) -> tuple[jax.Array, None]:
    """Ignore the rounding, whose own gradient is zero (straight-through estimate)."""
    rows, matrix = saved
    return (change @ matrix.floats(rows.shape[1]).astype(change.dtype)).astype(rows.dtype), None


_int8_product.defvjp(_int8_forward, _int8_backward)


def _in_pieces(multiply: Callable[[Arrays], jax.Array], matrix: Arrays, width: int) -> jax.Array:
    """Compute `multiply(matrix)`, (N, outputs); on CPU some outputs at a time.

    Decoding a whole matrix at once would write it to memory as floats and read it back.
    """
    outputs = len(matrix[0])
    piece = max(1, _PIECE // width)
    if jax.default_backend() != "cpu" or outputs <= piece:
        return multiply(matrix)

    def step(number: jax.Array, made: jax.Array) -> jax.Array:
        # The last piece starts early enough to fit, and overlaps the piece before it.
        start = jnp.minimum(number * piece, outputs - piece)
        part = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, start, piece), matrix)
        return jax.lax.dynamic_update_slice(made, multiply(part), (0, start))

    shape = jax.eval_shape(multiply, matrix)
    return jax.lax.fori_loop(0, -(-outputs // piece), step, jnp.zeros(shape.shape, shape.dtype))
