"""The header of a GGUF file: its metadata and the positions of its tensors.

Layout (github.com/ggml-org/ggml, "docs/gguf.md"): magic, version, number of tensors and of
metadata entries, the entries, the tensors' names, sizes, types and offsets, padding, the data.
Every count and size is compared with the file's length before it is used, so a damaged or crafted
file is refused by arithmetic. Values are never executed or imported.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from workbench.errors import PresetError
from workbench.formats.tensors import MAX_TENSORS
from workbench.storage.json_files import shown

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_ENTRIES = 10_000
MAX_STRINGS = 2_000_000
MAX_HEADER = 64 * 2**20
MAX_NAME = 255
MAX_DIMENSIONS = 4

TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    30: ("BF16", 1, 2),
}
"""The supported tensor types by ggml's number: name, values per block, bytes per block."""

_FLOAT32, _BOOL, _STRING, _ARRAY = 6, 7, 8, 9
_NUMBERS = {
    0: np.dtype("<u1"),
    1: np.dtype("<i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    _FLOAT32: np.dtype("<f4"),
    _BOOL: np.dtype("?"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}


@dataclass(frozen=True)
class Entry:
    """One tensor: the name of its type, its shape in numpy's order, the begin and end of its
    bytes."""

    type: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class GgufHeader:
    """The content of a file's header.

    Attributes:
        file: its name, for messages.
        metadata: key to bool, int, float, str, list of str, or numpy array of numbers.
        tensors: name to entry; positions count from the beginning of the file.
    """

    file: str
    metadata: dict[str, Any]
    tensors: dict[str, Entry]


def read_header(path: Path) -> GgufHeader:
    """Read the header of a file and check it against the file's size.

    Raises:
        PresetError: it is not a GGUF file of version 2 or 3, is cut short, has inconsistent sizes,
            counts or offsets, the same key or tensor twice, or a tensor type that is not in
            `TYPES`.
    """
    with path.open("rb") as handle:
        return _Reader(handle, path.name, path.stat().st_size).header()


class _Reader:
    """Reads through a header, never past the end of the file."""

    def __init__(self, handle: BinaryIO, file: str, size: int) -> None:
        self._handle, self._file, self._size = handle, file, size
        self._limit = min(size, MAX_HEADER)
        self._position = 0
        self._strings = 0

    def header(self) -> GgufHeader:
        tensors, entries = self._counts()
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._name("metadata key")
            if key in metadata:
                raise self._error(shown(key), "one value", "the key twice")
            metadata[key] = self._value(key)
        infos = self._infos(tensors)
        start = self._data_start(metadata)
        table = {name: self._entry(name, start, *info) for name, info in infos.items()}
        _check_overlaps(self._file, table)
        return GgufHeader(self._file, metadata, table)

    def _counts(self) -> tuple[int, int]:
        if self._take(4, "magic") != MAGIC:
            raise self._error("magic", "a GGUF file", "another kind of file")
        version = self._number("<I", "version")
        if version not in VERSIONS:
            turned = int.from_bytes(version.to_bytes(4, "little"), "big")
            got = f"{turned}, big-endian" if turned in VERSIONS else str(version)
            raise self._error("version", "2 or 3, little-endian", got)
        tensors, entries = self._number("<Q", "tensors"), self._number("<Q", "entries")
        for what, count, limit in (
            ("number of tensors", tensors, MAX_TENSORS),
            ("number of metadata entries", entries, MAX_ENTRIES),
        ):
            if count > limit:
                raise self._error(what, f"at most {limit}", count)
        return tensors, entries

    def _infos(self, count: int) -> dict[str, tuple[tuple[int, ...], int, int]]:
        infos: dict[str, tuple[tuple[int, ...], int, int]] = {}
        for _ in range(count):
            name = self._name("tensor name")
            if name in infos:
                raise self._error(shown(name), "one tensor of this name", "two")
            rank = self._number("<I", name)
            if not 0 < rank <= MAX_DIMENSIONS:
                raise self._error(shown(name), f"1 to {MAX_DIMENSIONS} dimensions", rank)
            sizes = struct.unpack(f"<{rank}Q", self._take(8 * rank, name))
            kind, offset = struct.unpack("<IQ", self._take(12, name))
            # ggml lists the dimension contiguous in memory first, numpy last. A single row
            # is a vector in some files and a matrix in others.
            while len(sizes) > 1 and sizes[-1] == 1:
                sizes = sizes[:-1]
            infos[name] = (sizes[::-1], kind, offset)
        return infos

    def _data_start(self, metadata: dict[str, Any]) -> int:
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment <= 2**20 or alignment % 8:
            raise self._error("general.alignment", "a multiple of 8", shown(alignment))
        return -(-self._position // alignment) * alignment

    def _entry(
        self, name: str, start: int, shape: tuple[int, ...], kind: int, offset: int
    ) -> Entry:
        key = shown(name)
        if kind not in TYPES:
            known = ", ".join(name for name, _, _ in TYPES.values())
            raise self._error(f"{key}: type", f"one of {known}", f"ggml's number {kind}")
        type_name, block, width = TYPES[kind]
        if not all(shape) or shape[-1] % block:
            expected = f"rows in blocks of {block} values ({type_name})"
            raise self._error(f"{key}: shape", expected, shown(shape))
        length = math.prod(shape) // block * width
        begin = start + offset
        if begin + length > self._size:
            expected = f"{length} bytes at {begin}, in a file of {self._size}"
            raise self._error(key, expected, "a tensor beyond the end")
        return Entry(type_name, shape, begin, begin + length)

    def _value(self, key: str) -> Any:
        kind = self._number("<I", key)
        if kind == _STRING:
            return self._string(key)
        if kind == _ARRAY:
            return self._array(key)
        return _single(self._numbers(key, kind, 1), kind)

    def _array(self, key: str) -> Any:
        kind, count = self._number("<I", key), self._number("<Q", key)
        if kind != _STRING:
            return self._numbers(key, kind, count)
        self._strings += count
        if self._strings > MAX_STRINGS:
            limit = f"at most {MAX_STRINGS} in the whole file"
            raise self._error(f"{shown(key)}: number of strings", limit, self._strings)
        return [self._string(key) for _ in range(count)]

    def _numbers(self, key: str, kind: int, count: int) -> np.ndarray:
        if kind not in _NUMBERS:
            raise self._error(f"{shown(key)}: type", "a string or numbers", f"number {kind}")
        dtype = _NUMBERS[kind]
        return np.frombuffer(self._take(count * dtype.itemsize, key), dtype)

    def _name(self, what: str) -> str:
        name = self._string(what, MAX_NAME)
        if not name:
            raise self._error(what, "a name", "an empty one")
        return name

    def _string(self, key: str, limit: int = MAX_HEADER) -> str:
        length = int.from_bytes(self._take(8, key), "little")
        if length > limit:
            raise self._error(f"{shown(key)}: length", f"at most {limit} bytes", length)
        return self._take(length, key).decode("utf-8", "replace")

    def _number(self, code: str, key: str) -> int:
        return struct.unpack(code, self._take(struct.calcsize(code), key))[0]

    def _take(self, count: int, key: str) -> bytes:
        end = self._position + count
        if end > self._limit:
            limit = f"a header within {self._limit} bytes"
            raise self._error(shown(key), limit, f"one of at least {end}")
        data = self._handle.read(count)
        if len(data) != count:
            raise self._error(shown(key), f"{count} bytes", f"the file ends after {len(data)}")
        self._position = end
        return data

    def _error(self, key: str, expected: object, got: object) -> PresetError:
        return PresetError.at(self._file, key, expected, got)


def _single(values: np.ndarray, kind: int) -> bool | int | float:
    if kind == _FLOAT32:
        return float(str(values[0]))  # 1e-05 and not 9.99999974e-06
    return values[0].item()


def _check_overlaps(file: str, table: dict[str, Entry]) -> None:
    """Check that no two tensors share a byte; padding between them is allowed."""
    position = 0
    for name, entry in sorted(table.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin < position:
            expected = f"data from {position} on, after the tensor before it"
            raise PresetError.at(file, shown(name), expected, f"data from {entry.begin} on")
        position = entry.end
