"""Batches of examples by their number: any step's batch follows from the seed and the step alone.

Each epoch has an order of its own. Every batch is full: an epoch runs on into the next one.
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

SHORTEST = 32  # positions of the smallest bucket


@dataclass(frozen=True, eq=False)
class Batch:
    """What one forward and backward pass reads.

    `inputs`: by the names of the model: of a decoder `token_ids` and `padding_mask`, int32 (B, T),
        the second 0 at padding and else the number of the example in its row, from 1;
        pictures and recordings for models that read them.
    `labels`: int32 (B, T), the token after each.
    `weights`: float32 (B, T), 1 where the label is learnt.
    `indices`: which of the examples it holds, in their order.
    """

    inputs: Arrays
    labels: np.ndarray
    weights: np.ndarray
    indices: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """How many labels are learnt."""
        return int(np.count_nonzero(self.weights))


class Batches:
    """The batches of a run over examples.

    Args:
        examples: what is learnt.
        batch_size: rows of a batch.
        length: positions of a row at most; by default what the examples were read with. What is
            longer is cut; `examples` says how many.
        packing: put several examples into a row, as many as fit.
        seed: of the order.

    Attributes:
        examples: the examples as they are used. `Batch.indices` count them.

    Raises:
        SettingError: a setting is impossible, or the model's rows hold one example each.
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
        self._starts = [0]  # the number of the first row of each epoch, as far as known
        self._epochs: dict[int, list[list[int]]] = {}

    @property
    def per_epoch(self) -> int:
        """Batches until every example has been seen once: of the first epoch where rows are
        packed, as later ones may take a row more or less."""
        return math.ceil(len(self._rows(0)) / self.batch_size)

    def batch(self, step: int) -> Batch:
        """The batch of a step, from 0.

        Raises:
            SettingError: the step is no integer of at least 0.
            ImageError, AudioError, PromptError: what an example names cannot be opened.
        """
        if type(step) is not int or step < 0:
            raise SettingError(f"step: expected an integer of at least 0, got {step!r}")
        first = step * self.batch_size
        return self._made([self._row(number) for number in range(first, first + self.batch_size)])

    def validation(self) -> Iterator[Batch]:
        """Every example once, in the order given. The rows that fill up the last batch repeat
        one of its own and weigh nothing."""
        rows = self._arranged(range(len(self.examples)))
        for first in range(0, len(rows), self.batch_size):
            yield self._made(rows[first : first + self.batch_size])

    def _made(self, rows: Sequence[Sequence[int]]) -> Batch:
        missing = self.batch_size - len(rows)
        chosen = [[self.examples[index] for index in row] for row in [*rows, *rows[:1] * missing]]
        arrays, labels, weights = self.examples.reader.arrays(chosen, self._width(chosen))
        weights[len(rows) :] = 0
        return Batch(arrays, labels, weights, tuple(index for row in rows for index in row))

    def _width(self, rows: Sequence[Sequence[Example]]) -> int:
        longest = max(sum(len(example) - 1 for example in row) for row in rows)
        return bucket(longest, self.length)

    def _row(self, number: int) -> list[int]:
        """The examples of a row, the rows of all epochs being counted on."""
        if not self.packing:
            epoch, place = divmod(number, len(self.examples))
            return self._rows(epoch)[place]
        while self._starts[-1] <= number:
            epoch = len(self._starts) - 1
            self._starts.append(self._starts[-1] + len(self._rows(epoch)))
        epoch = bisect.bisect_right(self._starts, number) - 1
        return self._rows(epoch)[number - self._starts[epoch]]

    def _rows(self, epoch: int) -> list[list[int]]:
        """The rows of an epoch; the last two epochs asked for are kept."""
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


def bucket(length: int, limit: int) -> int:
    """The length that rows of `length` positions are padded to: powers of two and one and a half
    times those, from 32 on, and the limit: few shapes are compiled, and a third of the longest row
    is padding at most."""
    size = SHORTEST
    while size < length:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return min(size, limit)
