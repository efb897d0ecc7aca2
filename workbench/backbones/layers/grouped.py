"""Products of rows with the kernel of the row's group, without touching other groups' kernels.

Rows are sorted by group. On accelerators XLA has the product. On CPU it multiplies every row by
every kernel, so rows are padded to blocks of one group there, and a loop goes over the blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# Numbers of a kernel read at once on CPU: XLA copies what a loop slices, and a copy of this size
# stays in the core's own cache. One row reads best in small pieces, a block of rows in larger.
_PIECE_OF_ONE, _PIECE_OF_BLOCK = 2**14, 2**18
_LARGEST_BLOCK = 64


class Groups(NamedTuple):
    """Where P items lie among M rows that are sorted by group, M at least P.

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
    """The order for items of groups `group_of` (P,) out of `count`, and the product that is
    fastest for it on this machine."""
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
    """Every item a block of its own, unsorted: for few items."""
    items = jnp.arange(len(group_of))
    every = jnp.ones(len(group_of), bool)
    sizes = jnp.bincount(group_of, length=count)
    return Groups(items, every, items, group_of, jnp.int32(len(group_of)), sizes)


def sort(group_of: jax.Array, count: int, block: int = 1) -> Groups:
    """Items sorted by group, each group padded to a multiple of `block` rows."""
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
    """Rows (M, in) times the kernel (groups, out, in) of their group: (M, out)."""
    dimensions = jax.lax.RaggedDotDimensionNumbers(
        dot_dimension_numbers=(((1,), (2,)), ((), ())),
        lhs_ragged_dimensions=[0],
        rhs_group_dimensions=[0],
    )
    sizes = groups.sizes.astype(jnp.int32)
    return jax.lax.ragged_dot_general(rows, kernel, sizes, dimensions)


def gathered(rows: jax.Array, kernel: jax.Array, groups: Groups) -> jax.Array:
    """The same for rows that are a block each, few enough to copy a kernel for each."""
    return jnp.einsum("mi,moi->mo", rows, kernel[groups.owners])


def in_blocks(rows: jax.Array, kernel: jax.Array, groups: Groups) -> jax.Array:
    """The same as a loop over blocks of rows, and pieces of their kernels."""
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
            # The last piece is moved back to fit, over what the one before it has made.
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

    # Two loops, so that the second is dropped where kernels are frozen.
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
