"""Batches of examples by step: the seed and the step alone decide a batch.

Each epoch has its own order. Every batch is full: an epoch continues into the next one.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.data.examples import Arrays, Example, Examples
from workbench.data.packing import packed
from workbench.errors import SettingError

SHORTEST = 32  # positions of the shortest rows


@dataclass(frozen=True, eq=False)
class Batch:
    """The arrays of one forward and backward pass.

    `inputs`: arrays by the model's names. A decoder has `token_ids` and `padding_mask`, int32
        (B, T); the mask is 0 at padding, elsewhere the number of the example in its row, from 1.
        Models that read pictures or recordings have those too.
    `labels`: int32 (B, T), the token after each.
    `weights`: float32 (B, T), 1 where the label is learnt.
    `indices`: the indices of its examples, in order.
    """

    inputs: Arrays
    labels: np.ndarray
    weights: np.ndarray
    indices: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """The number of learnt labels."""
        return int(np.count_nonzero(self.weights))


class Batches:
    """The batches of a run over examples.

    Args:
        examples: the examples to learn.
        batch_size: rows per batch.
        length: limit of positions in a row; by default the examples' own. Longer examples are
            cut; `examples.cut` counts them.
        packing: put as many examples into a row as fit.
        seed: the seed of the order.

    Attributes:
        examples: the examples at this length; `Batch.indices` refer to them.

    Raises:
        SettingError: a setting is impossible, or `packing` is set for a model whose rows hold one
            example each.
        DataError: no example has a token to learn within `length`.

    Example:
        >>> batches = Batches(examples, batch_size=8, packing=True)
        >>> batches.batch(0).inputs["token_ids"].shape
        (8, 256)
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        length: int | None = None,
        packing: bool = False,
        seed: int = 0,
    ) -> None:
        if type(batch_size) is not int or batch_size < 1:
            raise SettingError(f"batch_size: expected an integer of at least 1, got {batch_size!r}")
        if type(seed) is not int or seed < 0:
            raise SettingError(f"seed: expected an integer of at least 0, got {seed!r}")
        if packing and not examples.reader.packs:
            raise SettingError(
                "packing: expected False for a model that reads pictures, recordings or another "
                "text beside its own, got True"
            )
        self.examples = examples if length is None else examples.at_length(length)
        self.batch_size, self.packing, self.seed = batch_size, packing, seed
        self.length = self.examples.length
        self._sizes = [len(example) - 1 for example in self.examples]
        self._starts = [0]  # the number of the first row of each epoch known so far
        self._epochs: dict[int, list[list[int]]] = {}

    @property
    def per_epoch(self) -> int:
        """Batches until every example has been seen once. With packing, this is the first epoch's
        number; later epochs may take a row more or less."""
        return math.ceil(len(self._rows(0)) / self.batch_size)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, from 0.

        Raises:
            SettingError: the step is not an integer of at least 0.
            ImageError, AudioError, PromptError: an example's picture or recording cannot be opened.
        """
        if type(step) is not int or step < 0:
            raise SettingError(f"step: expected an integer of at least 0, got {step!r}")
        first = step * self.batch_size
        return self._made([self._row(number) for number in range(first, first + self.batch_size)])

    def validation(self) -> Iterator[Batch]:
        """Yield every example once, in the given order. The rows that fill up the last batch repeat
        its first row and weigh 0."""
        rows = self._arranged(range(len(self.examples)))
        for first in range(0, len(rows), self.batch_size):
            yield self._made(rows[first : first + self.batch_size])

    def _made(self, rows: Sequence[Sequence[int]]) -> Batch:
        missing = self.batch_size - len(rows)
        filled = [*rows, *list(rows[:1]) * missing]
        chosen = [[self.examples[index] for index in row] for row in filled]
        arrays, labels, weights = self.examples.reader.arrays(chosen, self._width(chosen))
        weights[len(rows) :] = 0
        return Batch(arrays, labels, weights, tuple(index for row in rows for index in row))

    def _width(self, rows: Sequence[Sequence[Example]]) -> int:
        longest = max(sum(len(example) - 1 for example in row) for row in rows)
        return row_length(longest, self.length)

    def _row(self, number: int) -> list[int]:
        """Return the examples of a row; row numbers continue over all epochs."""
        if not self.packing:
            epoch, place = divmod(number, len(self.examples))
            return self._rows(epoch)[place]
        while self._starts[-1] <= number:
            epoch = len(self._starts) - 1
            self._starts.append(self._starts[-1] + len(self._rows(epoch)))
        epoch = bisect.bisect_right(self._starts, number) - 1
        return self._rows(epoch)[number - self._starts[epoch]]

    def _rows(self, epoch: int) -> list[list[int]]:
        """Return the rows of an epoch; the last two epochs stay cached."""
        if epoch not in self._epochs:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.examples))
            while len(self._epochs) > 1:
                self._epochs.pop(next(iter(self._epochs)))
            self._epochs[epoch] = self._arranged(order.tolist())
        return self._epochs[epoch]

    def _arranged(self, order: Sequence[int]) -> list[list[int]]:
        if not self.packing:
            return [[index] for index in order]
        sizes = [self._sizes[index] for index in order]
        return [[order[place] for place in row] for row in packed(sizes, self.length)]


def row_length(length: int, limit: int) -> int:
    """Return the length to pad rows of `length` positions to: a power of two or 1.5 times one, at
    least 32 and at most `limit`. So few shapes are compiled, and above 32 at most a third of the
    longest row is padding."""
    size = SHORTEST
    while size < length:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return min(size, limit)
