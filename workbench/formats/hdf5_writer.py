"""Writes Keras weight files: `model.weights.h5`, whole or sharded with `model.weights.json`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from workbench.errors import PresetError
from workbench.formats.hdf5 import INDEX, WHOLE
from workbench.formats.tensor_digest import ATTRIBUTE, TensorDigest
from workbench.storage.json_files import shown

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

Tensors = Iterable[tuple[str, np.ndarray]]


def write_whole(folder: Path, tensors: Tensors) -> None:
    """Write all tensors to `model.weights.h5`. Raises OSError when the disk fails."""
    write_file(folder / WHOLE, tensors)


def write_file(path: Path, tensors: Tensors) -> None:
    """Write all tensors to one file. Raises OSError when the disk fails."""
    with _new_file(path) as (_, write):
        for name, values in tensors:
            write(name, values)


def write_sealed(path: Path, tensors: Tensors) -> None:
    """Write all tensors to one file, and their digest. Raises OSError when the disk fails."""
    digest = TensorDigest()
    with _new_file(path) as (h5, write):
        for name, values in tensors:
            write(name, values)
            digest.add(name, values)
        h5.attrs[ATTRIBUTE] = digest.hexdigest()


def write_sharded(folder: Path, tensors: Tensors, max_bytes: float) -> None:
    """Write files of at most `max_bytes` of tensors each, and the index `model.weights.json`.

    Raises:
        PresetError: one tensor alone is larger than `max_bytes`.
        OSError: the disk fails.
    """
    weight_map: dict[str, list[str]] = {}
    total = 0
    for number, shard in enumerate(_packed(tensors, max_bytes)):
        file = f"model_{number:05}.weights.h5"
        with _new_file(folder / file) as (_, write):
            for name, values in shard:
                write(name, values)
                total += values.nbytes
                holders = weight_map.setdefault("/" + name.rpartition("/")[0], [])
                if file not in holders:
                    holders.append(file)
    index = {
        "metadata": {"total_size": total},
        "weight_map": {k: v[0] if len(v) == 1 else v for k, v in weight_map.items()},
    }
    (folder / INDEX).write_text(json.dumps(index, indent=4), encoding="utf-8")


def _packed(tensors: Tensors, max_bytes: float) -> Iterator[Tensors]:
    """Yield consecutive tensors in groups that fit; each is consumed before the next begins."""
    stream = iter(tensors)
    waiting = next(stream, None)

    def group(first: tuple[str, np.ndarray]) -> Tensors:
        nonlocal waiting
        waiting, size = first, 0
        while waiting is not None and size + waiting[1].nbytes <= max_bytes:
            size += waiting[1].nbytes
            yield waiting
            waiting = next(stream, None)

    while waiting is not None:
        name, values = waiting
        if values.nbytes > max_bytes:
            expected = f"at most max_shard_size, {max_bytes:.0f} bytes"
            raise PresetError.at("save", shown(name), expected, f"{values.nbytes} bytes")
        yield group(waiting)


def _write(h5: h5py.File, name: str, values: np.ndarray) -> None:
    if values.dtype.name == "bfloat16":
        stored = np.ascontiguousarray(values).view("V2")
        h5.create_dataset(name, data=stored).attrs["dtype"] = "bfloat16"
    else:
        h5.create_dataset(name, data=values)


class _Guarded(io.RawIOBase):
    """A file that delays its write errors, because HDF5 corrupts its own state when a write
    fails."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("x+b", buffering=0)
        self.failure: OSError | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        return self._raw.readinto(buffer)

    def write(self, data: ReadableBuffer) -> int:
        whole, done = memoryview(data), 0
        try:
            while self.failure is None and done < len(whole):
                done += self._raw.write(whole[done:])
        except OSError as error:
            self.failure = error
        return len(whole)

    def truncate(self, size: int | None = None) -> int:
        try:
            self._raw.truncate(size)
        except OSError as error:
            self.failure = self.failure or error
        return size or 0

    def close(self) -> None:
        self._raw.close()
        super().close()


@contextmanager
def _new_file(path: Path) -> Iterator[tuple[h5py.File, Callable[[str, np.ndarray], None]]]:
    guarded = _Guarded(path)
    try:
        with h5py.File(guarded, "w") as h5:

            def write(name: str, values: np.ndarray) -> None:
                _write(h5, name, values)
                if guarded.failure is not None:
                    raise guarded.failure

            yield h5, write
    finally:
        guarded.close()
    if guarded.failure is not None:
        raise guarded.failure
