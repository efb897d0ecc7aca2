"""Multiply each row by the kernel of its group, without reading other groups' kernels.

Rows are sorted by group. XLA has this product on accelerators. On CPU it multiplies every row by
every kernel, so there each group is padded to blocks of rows, and a loop goes over the blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# Numbers of a kernel read at once on CPU: XLA copies each slice of a loop, and a copy of this size
# stays in the core's cache. Small pieces are fastest for one row, larger ones for a block of rows.
_PIECE_OF_ONE, _PIECE_OF_BLOCK = 2**14, 2**18
_LARGEST_BLOCK = 64


class Groups(NamedTuple):
    """Where P items are among M >= P rows sorted by group.

    Attributes:
        items: int (M,), the item in each row.
        filled: bool (M,), false at rows that pad a block.
        places: int (P,), the row of each item.
        owners: int (blocks,), the group of each block of M / blocks rows.
        used: how many blocks hold items.
        sizes: int (groups,), the rows of each group, padding included.
    """

    items: jax.Array
    filled: jax.Array
    places: jax.Array
    owners: jax.Array
    used: jax.Array
    sizes: jax.Array


Product = Callable[[jax.Array, jax.Array, Groups], jax.Array]


def plan(group_of: jax.Array, count: int) -> tuple[Groups, Product]:
    """Choose an order of rows and the fastest product for it on this machine.

    Args:
        group_of: int (P,), the group of each item.
        count: number of groups.
    """
    items = len(group_of)
    if jax.default_backend() == "cpu":
        block = min(_power_of_two(items / count), _LARGEST_BLOCK)
        return (alone if items <= count else partial(sort, block=block))(group_of, count), in_blocks
    return (alone(group_of, count), gathered) if items <= count else (sort(group_of, count), ragged)


def _power_of_two(least: float) -> int:
    power = 1
    while power < least:
        power *= 2
    return power


def alone(group_of: jax.Array, count: int) -> Groups:
    """Make every item its own block, unsorted: for few items."""
    items = jnp.arange(len(group_of))
    every = jnp.ones(len(group_of), bool)
    sizes = jnp.bincount(group_of, length=count)
    return Groups(items, every, items, group_of, jnp.int32(len(group_of)), sizes)


def sort(group_of: jax.Array, count: int, block: int = 1) -> Groups:
    """Sort items by group, and pad each group to a multiple of `block` rows."""
    items = len(group_of)
    blocks = (items + min(count, items) * (block - 1)) // block  # enough for any sizes
    order = jnp.argsort(group_of)
    sizes = jnp.bincount(group_of, length=count)
    padded = -(-sizes // block) * block
    first_item, first_row = jnp.cumsum(sizes) - sizes, jnp.cumsum(padded) - padded
    ends = jnp.cumsum(padded) // block
    owners = jnp.searchsorted(ends, jnp.arange(blocks), side="right").clip(max=count - 1)
    group = jnp.repeat(owners, block, total_repeat_length=blocks * block)
    rank = jnp.arange(blocks * block) - first_row[group]
    filled = rank < sizes[group]
    rows = order[jnp.where(filled, first_item[group] + rank, 0)]
    places = jnp.argsort(order) - first_item[group_of] + first_row[group_of]
    return Groups(rows, filled, places, owners, ends[-1], padded)


def ragged(rows: jax.Array, kernel: jax.Array, groups: Groups) -> jax.Array:
    """Multiply rows (M, in) by the kernel (groups, out, in) of their group: (M, out)."""
    dimensions = jax.lax.RaggedDotDimensionNumbers(
        dot_dimension_numbers=(((1,), (2,)), ((), ())),
        lhs_ragged_dimensions=[0],
        rhs_group_dimensions=[0],
    )
    sizes = groups.sizes.astype(jnp.int32)
    return jax.lax.ragged_dot_general(rows, kernel, sizes, dimensions)


def gathered(rows: jax.Array, kernel: jax.Array, groups: Groups) -> jax.Array:
    """`ragged` for few rows, each its own block: copies a kernel for each row."""
    return jnp.einsum("mi,moi->mo", rows, kernel[groups.owners])


def in_blocks(rows: jax.Array, kernel: jax.Array, groups: Groups) -> jax.Array:
    """`ragged` as a loop over blocks of rows and pieces of their kernels."""
    return _in_blocks(rows, kernel, groups.owners, groups.used)


@jax.custom_vjp
def _in_blocks(rows: jax.Array, kernel: jax.Array, owners: jax.Array, used: jax.Array) -> jax.Array:
    block = len(rows) // len(owners)
    numbers = _PIECE_OF_ONE if block == 1 else _PIECE_OF_BLOCK
    outputs, width = kernel.shape[1:]
    piece = min(outputs, max(1, numbers // width))

    def multiply(index: jax.Array, made: jax.Array) -> jax.Array:
        part = _block(rows, index, block)

        def step(number: jax.Array, made: jax.Array) -> jax.Array:
            # The last piece starts early enough to fit, and overlaps the piece before it.
            start = jnp.minimum(number * piece, outputs - piece)
            some = jax.lax.dynamic_slice(kernel, (owners[index], start, 0), (1, piece, width))[0]
            product = (some @ part[0])[None] if block == 1 else part @ some.T
            return jax.lax.dynamic_update_slice(made, product, (index * block, start))

        return jax.lax.fori_loop(0, -(-outputs // piece), step, made)

    return jax.lax.fori_loop(0, used, multiply, jnp.zeros((len(rows), outputs), rows.dtype))


def _block(rows: jax.Array, index: jax.Array, block: int) -> jax.Array:
    return jax.lax.dynamic_slice_in_dim(rows, index * block, block)


def _forward(*arguments: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    return _in_blocks(*arguments), arguments


def _backward(saved: tuple[jax.Array, ...], change: jax.Array) -> tuple[Any, ...]:
    rows, kernel, owners, used = saved
    block = len(rows) // len(owners)

    # Two loops, so that XLA drops the second if kernels are frozen.
    def to_rows(index: jax.Array, made: jax.Array) -> jax.Array:
        product = _block(change, index, block) @ kernel[owners[index]]
        return jax.lax.dynamic_update_slice_in_dim(made, product, index * block, 0)

    def to_kernel(index: jax.Array, made: jax.Array) -> jax.Array:
        product = _block(change, index, block).T @ _block(rows, index, block)
        return made.at[owners[index]].add(product)

    row_change = jax.lax.fori_loop(0, used, to_rows, jnp.zeros_like(rows))
    kernel_change = jax.lax.fori_loop(0, used, to_kernel, jnp.zeros_like(kernel))
    return row_change, kernel_change, None, None


_in_blocks.defvjp(_forward, _backward)
