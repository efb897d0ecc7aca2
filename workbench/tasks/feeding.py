"""Turns the inputs of `fit`, `evaluate` and `predict` into batches that Keras reads.

Each batch is preprocessed when Keras asks for it, and not kept afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from types import GeneratorType
from typing import Any, Protocol, cast, runtime_checkable

import keras
import numpy as np

from workbench.errors import SettingError, WorkbenchError, shown
from workbench.keras_internals import DataAdapter, reads_as_it_is
from workbench.preprocessing.columns import count, take
from workbench.tasks.learnt import Tally, is_learnt

Parts = tuple[Any, Any, Any]
"""Inputs, labels and sample weights; the last one or two may be None."""
Prepare = Callable[[Any, Any, Any], Parts]
"""Turns the parts of a batch into arrays."""


@runtime_checkable
class ArrayLike(Protocol):
    """A tensor of any library: anything NumPy can turn into an array."""

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray: ...


def is_arrays(x: Any) -> bool:
    """Return whether the input is arrays already: tokens, alone or in a dict."""
    if isinstance(x, Mapping):
        return any(str(name).endswith("token_ids") for name in x)
    return isinstance(x, np.ndarray) and x.dtype.kind in "iufb" and x.ndim > 0


def parts_of(data: Any) -> Parts:
    """Split an element of a dataset, or `validation_data`: a tuple has inputs, labels and
    weights; anything else is inputs.

    Raises:
        SettingError: the tuple has more than three parts.
    """
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise SettingError(
            f"data: expected (inputs, labels, sample weights) at most, got a tuple of {len(data)}"
        )
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def is_dataset(x: Any) -> bool:
    """Return whether the input yields batches, rather than being samples or arrays."""
    if isinstance(x, keras.utils.PyDataset):
        return True
    return isinstance(x, Iterable) and not isinstance(x, str | Mapping | Sequence | ArrayLike)


def keras_reads(x: Any) -> bool:
    """Return whether Keras itself can read this dataset."""
    if isinstance(x, keras.utils.PyDataset | GeneratorType):
        return True
    return reads_as_it_is(x)


class Samples(keras.utils.PyDataset):
    """Samples in memory, in batches; the last may be smaller.

    Args:
        parts: the samples, as `columns` counts them, with their labels and weights.
        prepare: turns a batch into arrays.
        batch_size: samples per batch.
        shuffle: use a new order for each pass; `keras.utils.set_random_seed` makes it repeatable.
        tally: counts the samples without a token to learn; None for predictions.

    An error about a sample names the sample numbers of its batch. If the first batch has no token
    to learn, the others are checked; if none has any, it is a `DataError`.

    Raises:
        SettingError: the number of labels or weights is not the number of samples.
        PromptError: as `columns.count`.
    """

    def __init__(
        self,
        parts: Parts,
        prepare: Prepare,
        batch_size: int = 32,
        shuffle: bool = False,
        tally: Tally | None = None,
    ) -> None:
        super().__init__()
        self.size = count(parts[0])
        for name, part in zip(("y", "sample_weight"), parts[1:], strict=True):
            if part is not None:
                _expect_size(name, part, self.size)
        if not self.size:
            raise SettingError("x: expected at least one sample, got none")
        self.parts = parts
        self.prepare, self.batch_size, self.shuffle = prepare, batch_size, shuffle
        self._tally, self._learnt = tally, False
        self._ahead: Parts | None = None
        self._order = np.arange(self.size)

    @property
    def num_batches(self) -> int:
        """The number of batches in a pass."""
        return math.ceil(self.size / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if index == 0 and self.shuffle:
            self._order = np.random.permutation(self.size)
        ahead, self._ahead = self._ahead, None
        made = self._batch(self._order, index) if ahead is None or index else ahead
        if self._tally is not None:
            self._tally.see(made[2])
            self._check_learnt(made[2])
        return packed(made)

    def look_ahead(self) -> None:
        """Read the first batch, in unshuffled order, before Keras asks for it.

        Raises:
            DataError: no sample has a token to learn.
        """
        self._ahead = self._batch(self._order, 0)
        self._check_learnt(self._ahead[2])

    def _batch(self, order: np.ndarray, index: int) -> Parts:
        first = index * self.batch_size
        rows = order[first : first + self.batch_size].tolist()
        chosen = (None if part is None else take(part, rows) for part in self.parts)
        try:
            return self.prepare(*chosen)
        except WorkbenchError as error:
            raise type(error)(f"{error} (in the batch of samples {rows})") from error

    def _check_learnt(self, weights: Any) -> None:
        """Check, before training on the first batch, that some batch has a token to learn."""
        if self._learnt or is_learnt(weights):
            self._learnt = True
            return
        order = np.arange(self.size)
        others = (self._batch(order, index)[2] for index in range(self.num_batches))
        if not any(map(is_learnt, others)):
            raise (self._tally or Tally("fit")).nothing(self.size)
        self._learnt = True

    def split(self, share: float) -> tuple[Parts, Parts]:
        """Return the first samples, and the last ones, which are `share` of all.

        Raises:
            SettingError: one of the two parts would be empty.
        """
        first = math.floor(self.size * (1 - share)) if 0 < share < 1 else 0
        if not 0 < first < self.size:
            raise SettingError(
                f"validation_split: expected a share between 0 and 1 that leaves samples on both "
                f"sides, got {shown(share)} of {self.size}"
            )
        return self._part(range(first)), self._part(range(first, self.size))

    def _part(self, rows: range) -> Parts:
        x, y, weight = (None if part is None else take(part, rows) for part in self.parts)
        return x, y, weight


class PreparedDataset(keras.utils.PyDataset):
    """A `keras.utils.PyDataset` whose batches go through `prepare`."""

    def __init__(self, dataset: keras.utils.PyDataset, prepare: Prepare) -> None:
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset, self.prepare = dataset, prepare

    @property
    def num_batches(self) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The dataset's own number. (Keras allows None too, but does not annotate it.)"""
        return self.dataset.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return prepared(self.dataset[index], self.prepare)

    def on_epoch_begin(self) -> None:
        """Pass the call on to the dataset."""
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Pass the call on to the dataset."""
        self.dataset.on_epoch_end()


class Elements(DataAdapter):
    """Batches from anything that can be iterated repeatedly: a `tf.data.Dataset`, a torch
    `DataLoader`, an object with `__iter__`."""

    def __init__(self, batches: Iterable[Any], prepare: Prepare) -> None:
        self.batches, self.prepare = batches, prepare

    def get_jax_iterator(self) -> Iterator[tuple[Any, ...]]:
        """Return the batches of one pass, as arrays."""
        return (prepared(element, self.prepare) for element in self.batches)

    get_numpy_iterator = get_jax_iterator

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None if unknown."""
        try:
            return len(
                cast(Sized, self.batches)
            )  # a tf.data.Dataset has a length that may be unknown
        except TypeError:
            return None

    @property
    def batch_size(self) -> None:
        """None: unknown before the first batch."""
        return None


def prepared(element: Any, prepare: Prepare) -> tuple[Any, ...]:
    """Return an element of a dataset as Keras reads it."""
    return packed(prepare(*(_plain(part) for part in parts_of(element))))


def packed(parts: Parts) -> tuple[Any, ...]:
    """Return the parts without the None values at the end."""
    x, y, weight = parts
    if weight is not None:
        return x, y, weight
    return (x,) if y is None else (x, y)


def _plain(value: Any) -> Any:
    """Turn tensors of other libraries into arrays, also inside dicts and tuples."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return np.asarray(value) if isinstance(value, ArrayLike) else value


def _expect_size(name: str, part: Any, size: int) -> None:
    try:
        got: object = len(part)
    except TypeError:  # a single number
        got = shown(part)
    if got != size:
        raise SettingError(f"{name}: expected {size}, one a sample, got {got}")
