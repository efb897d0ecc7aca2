"""Samples in memory: counts them, takes some of them, and turns rows into columns."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from workbench.errors import PromptError, shown

_ONE_AXES = {"images": 3, "image": 3, "audio": 1}


@runtime_checkable
class Indexed(Protocol):
    """Values by index: a list, or the column of a table."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Any: ...


@runtime_checkable
class Selectable(Protocol):
    """Samples with a `take` method, such as `Examples`."""

    def take(self, indices: Sequence[int]) -> Any: ...


def is_text(value: Any) -> bool:
    """Return whether the value is a string, or bytes, which are read as UTF-8."""
    return isinstance(value, str | bytes)


def is_column(name: str, value: Any) -> bool:
    """Return whether a value in a dict of columns has one item per sample. A single picture, for
    example, is one value for all samples."""
    if isinstance(value, str | bytes | bytearray | Mapping | Path | io.IOBase):
        return False
    if isinstance(value, np.ndarray | jax.Array):
        plain = value.dtype.kind in "OUS"
        return value.ndim > (0 if plain else _ONE_AXES.get(name, 0))
    return isinstance(value, Indexed)


def count(x: Any) -> int:
    """Return the number of samples in texts, in a dict of columns, or in a tuple of segments.

    Raises:
        PromptError: the input is a single sample, or the columns differ in length.
    """
    if is_text(x) or not isinstance(x, Indexed) or (isinstance(x, np.ndarray) and not x.ndim):
        raise PromptError(_ALONE.format(got=shown(x)))
    if isinstance(x, Mapping):
        lengths = {name: len(value) for name, value in x.items() if is_column(name, value)}
        if not lengths:
            raise PromptError(_ALONE.format(got=f"a dict of {sorted(map(str, x))} without a list"))
    elif isinstance(x, tuple):
        lengths = dict(enumerate(map(count, x)))
    else:
        return len(x)
    if len(set(lengths.values())) != 1:
        raise PromptError(f"inputs: expected as many of each, got {lengths or 'none'}")
    return next(iter(lengths.values()))


_ALONE = (
    "inputs: expected several samples, such as a list of texts, got {got}. One sample goes into a "
    "list of one, a dataset into batches first; a file is a pathlib.Path."
)


def take(x: Any, rows: Sequence[int]) -> Any:
    """Return the samples of these numbers, in the form of the input."""
    if isinstance(x, tuple):
        return tuple(take(part, rows) for part in x)
    if isinstance(x, Mapping):
        return {
            name: take(value, rows) if is_column(name, value) else value
            for name, value in x.items()
        }
    if isinstance(x, np.ndarray | jax.Array):
        return x[np.asarray(rows, int)]
    return x.take(rows) if isinstance(x, Selectable) else [x[row] for row in rows]


def columns_of(x: Any, pair: tuple[str, str] | None, names: Mapping[str, str]) -> Any:
    """Turn a list of dicts, of pairs, or of lists of messages into a dict of lists; return other
    data unchanged.

    Args:
        x: the user's data.
        pair: names of the two items of a pair; None leaves pairs as two columns without names.
        names: other names of columns, mapped to those of the preprocessor.

    Raises:
        PromptError: the dicts have different keys.
    """
    if isinstance(x, Mapping):
        return {names.get(name, name): value for name, value in x.items()}
    if isinstance(x, Sequence) and not isinstance(x, str | bytes | tuple | Selectable):
        x = list(x)  # a column of a table, say
    if not isinstance(x, list | tuple) or not len(x):
        return x
    if pair is not None and isinstance(x, tuple) and all(map(is_text, x)):
        return list(x)
    if all(isinstance(row, Mapping) for row in x):
        return columns_of(_joined(x), pair, names)
    if not isinstance(x, list):
        return x
    if all(_is_pair(row) for row in x):
        columns = tuple(map(list, zip(*x, strict=True)))
        return columns if pair is None else dict(zip(pair, columns, strict=True))
    if all(isinstance(row, list | tuple) and row and _all_mappings(row) for row in x):
        return {"messages": x}
    return x


def _joined(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    for number, row in enumerate(rows):
        if set(row) != set(rows[0]):
            raise PromptError(
                f"inputs: record {number}: expected {sorted(map(str, rows[0]))}, as the first has, "
                f"got {sorted(map(str, row))}"
            )
    return {name: [row[name] for row in rows] for name in rows[0]}


def _is_pair(row: Any) -> bool:
    """Return whether a row is a pair: two texts, or a recording or picture and its text."""
    return isinstance(row, list | tuple) and len(row) == 2 and is_text(row[1])


def _all_mappings(row: Sequence[Any]) -> bool:
    return all(isinstance(item, Mapping) for item in row)
