"""Reads `model.safetensors`, whole or sharded, with our own check of every header.

Layout of a file: 8 bytes little-endian header length, a JSON header with dtype, shape and byte
offsets of each tensor, then the data without gaps (github.com/huggingface/safetensors, "Format").
A header with inconsistent sizes, offsets or names is refused, so a damaged or crafted file never
reaches an allocation. Tensors are read, not mapped: a mapped file stays in memory in addition to
the copy on the device.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import PresetError
from workbench.formats.tensors import FLOATS, MAX_RANK, MAX_TENSORS, check_files
from workbench.storage.json_files import parse_json, read_json, shown
from workbench.storage.paths import has_file, plain_name, preset_file

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_HEADER = 16 * 2**20
MAX_DIMENSION = 2**40

_DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}


_FIELDS = {"dtype", "shape", "data_offsets"}
_INTEGERS = {int}


class _Entry(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile:
    """The tensors of one file. A `TensorSource`."""

    def __init__(self, path: Path) -> None:
        self.file = path.name
        self._handle = path.open("rb", buffering=0)
        try:
            self._entries, self._start = _read_header(self._handle, path)
        except BaseException:
            self._handle.close()
            raise

    def names(self) -> Collection[str]:
        return self._entries.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entries[name].shape

    def dtype(self, name: str) -> str:
        return self._entries[name].dtype

    def read(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        values = np.empty(entry.shape, FLOATS[entry.dtype])
        self._handle.seek(self._start + entry.begin)
        _fill(self._handle, values.reshape(-1).view(np.uint8).data, self.file, name)
        return values

    def close(self) -> None:
        self._handle.close()


class SafetensorsShards:
    """The tensors of several files listed in an index. A `TensorSource`."""

    def __init__(self, folder: Path) -> None:
        self.file = INDEX
        weight_map = _read_index(folder)
        self._shards: dict[str, SafetensorsFile] = {}
        try:
            for name in sorted(set(weight_map.values())):
                self._shards[name] = SafetensorsFile(preset_file(folder, name))
            self._home = {t: s for s, shard in self._shards.items() for t in shard.names()}
            _check_index(weight_map, self._shards)
        except BaseException:
            self.close()
            raise

    def names(self) -> Collection[str]:
        return self._home.keys()

    def _shard(self, name: str) -> SafetensorsFile:
        return self._shards[self._home[name]]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shard(name).shape(name)

    def dtype(self, name: str) -> str:
        return self._shard(name).dtype(name)

    def read(self, name: str) -> np.ndarray:
        return self._shard(name).read(name)

    def close(self) -> None:
        for shard in self._shards.values():
            shard.close()


def open_safetensors(folder: Path) -> SafetensorsFile | SafetensorsShards:
    """Open the weights of a Transformers folder; the caller closes them.

    Raises:
        PresetError: there are no weights, or a file is damaged; pickled `.bin` files are never
            read.
    """
    if has_file(folder, WHOLE):
        return SafetensorsFile(preset_file(folder, WHOLE))
    if has_file(folder, INDEX):
        return SafetensorsShards(folder)
    raise PresetError(f"{folder}: expected {WHOLE} or {INDEX}; .bin weights are not read")


def _read_header(handle: FileIO, path: Path) -> tuple[dict[str, _Entry], int]:
    size = path.stat().st_size
    prefix = handle.read(8)
    if len(prefix) < 8:
        raise PresetError.at(path.name, "header", "at least 8 bytes", len(prefix))
    (length,) = struct.unpack("<Q", prefix)
    if length > min(MAX_HEADER, size - 8):
        limit = f"at most {MAX_HEADER} bytes, in a file of {size}"
        raise PresetError.at(path.name, "header length", limit, length)
    raw = bytearray(length)
    _fill(handle, memoryview(raw), path.name, "header")
    if not raw.startswith(b"{"):
        raise PresetError.at(path.name, "header", "to begin with {", shown(bytes(raw[:1])))
    table = parse_json(bytes(raw), path.name)
    _check_metadata(table.pop("__metadata__", {}), path.name)
    if len(table) > MAX_TENSORS:
        raise PresetError.at(path.name, "tensors", f"at most {MAX_TENSORS}", len(table))
    entries = {name: _entry(path.name, name, value) for name, value in table.items()}
    _check_offsets(path.name, entries, size - 8 - length)
    return entries, 8 + length


def _check_metadata(metadata: Any, file: str) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise PresetError.at(file, "__metadata__", "an object of strings", shown(metadata))


def _entry(file: str, name: str, value: Any) -> _Entry:
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise PresetError.at(file, shown(name), "dtype, shape and data_offsets", shown(value))
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _unfit(file, name, "dtype", f"one of {', '.join(_DTYPES)}", dtype)
    if not _is_sizes(shape) or len(shape) > MAX_RANK:
        raise _unfit(file, name, "shape", f"up to {MAX_RANK} sizes", shape)
    if not _is_sizes(offsets) or len(offsets) != 2:
        raise _unfit(file, name, "data_offsets", "two offsets", offsets)
    name_of_dtype, width = _DTYPES[dtype]
    entry = _Entry(name_of_dtype, tuple(shape), *offsets)
    if entry.end - entry.begin != math.prod(shape) * width:
        got = f"{shown(shape)} {dtype} in {entry.end - entry.begin} bytes"
        raise PresetError.at(file, shown(name), "shape, dtype and data_offsets to agree", got)
    return entry


def _unfit(file: str, name: str, field: str, expected: str, got: Any) -> PresetError:
    return PresetError.at(file, f"{shown(name)}: {field}", expected, shown(got))


def _is_sizes(values: Any) -> bool:
    if not isinstance(values, list) or not _INTEGERS.issuperset(map(type, values)):
        return False
    return not values or (min(values) >= 0 and max(values) <= MAX_DIMENSION)


def _check_offsets(file: str, entries: dict[str, _Entry], length: int) -> None:
    """Check that the tensors fill the data without holes or overlaps."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            what = "a hole" if entry.begin > position else "an overlap"
            raise PresetError.at(file, shown(name), f"data at offset {position}", what)
        position = entry.end
    if position != length:
        raise PresetError.at(file, "data", f"{position} bytes", f"{length} bytes")


def _fill(handle: FileIO, target: memoryview, file: str, name: str) -> None:
    """Read exactly `len(target)` bytes; the system may return fewer at a time."""
    done = 0
    while done < len(target):
        got = handle.readinto(target[done:])
        if not got:
            expected = f"{len(target)} bytes"
            raise PresetError.at(file, shown(name), expected, f"the file ends after {done}")
        done += got


def _read_index(folder: Path) -> dict[str, str]:
    index = read_json(preset_file(folder, INDEX))
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not 0 < len(weight_map) <= MAX_TENSORS:
        expected = f"an object of 1 to {MAX_TENSORS} tensors"
        raise PresetError.at(INDEX, "weight_map", expected, shown(weight_map))
    named = {tensor: plain_name(name, INDEX) for tensor, name in weight_map.items()}
    check_files(INDEX, set(named.values()))
    return named


def _check_index(weight_map: dict[str, str], shards: dict[str, SafetensorsFile]) -> None:
    """Check that every tensor is in the file that the index names, and in no other."""
    listed = {(name, tensor) for tensor, name in weight_map.items()}
    held = {(name, tensor) for name, shard in shards.items() for tensor in shard.names()}
    for name, tensor in sorted(listed ^ held):
        what = "not in the index" if (name, tensor) in held else "only in the index"
        raise PresetError.at(INDEX, shown(tensor), f"to be listed and held by {name}", what)
