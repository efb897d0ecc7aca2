"""The tensors of a GGUF file, dequantized during reading.

Each tensor is read and dequantized in chunks directly into its result, so memory holds only the
result and one chunk; a mapped file would stay in memory in addition to the copy on the device. The
arithmetic of the block types follows the `gguf` package.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from workbench.errors import PresetError
from workbench.formats.gguf_file import TYPES, GgufHeader
from workbench.formats.tensors import FLOATS
from workbench.storage.json_files import shown

_PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_BLOCKS = {name: (number, values, width) for number, (name, values, width) in TYPES.items()}
_CHUNK = 2**18  # values dequantized at a time: they fit a core's cache


class GgufTensors:
    """The tensors of a file, or of all parts of a split one. A `TensorSource`.

    Quantized tensors become float32.

    Args:
        paths: the files.
        headers: the header of each file, from `read_header`.
    """

    def __init__(self, paths: Sequence[Path], headers: Sequence[GgufHeader]) -> None:
        self.file = paths[0].name
        self._handles = [path.open("rb", buffering=0) for path in paths]
        self._entries = {
            name: (part, entry)
            for part, header in enumerate(headers)
            for name, entry in header.tensors.items()
        }

    def names(self) -> Collection[str]:
        return self._entries.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entries[name][1].shape

    def dtype(self, name: str) -> str:
        return _PLAIN.get(self.type(name), "float32")

    def type(self, name: str) -> str:
        """Return ggml's name of the tensor's type."""
        return self._entries[name][1].type

    def read(self, name: str) -> np.ndarray:
        return self._read(name, self.shape(name))

    def first_rows(self, name: str, count: int) -> np.ndarray:
        """Return the values of the first `count` rows, or of all if there are fewer."""
        rows, *rest = self.shape(name)
        return self._read(name, (min(count, rows), *rest))

    def _read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        part, entry = self._entries[name]
        values = np.empty(shape, FLOATS[self.dtype(name)])
        flat = values.reshape(-1)
        self._handles[part].seek(entry.begin)
        if entry.type in _PLAIN:
            self._fill(part, flat.view(np.uint8).data, name)
        else:
            self._dequantise(part, entry.type, flat, name)
        return values

    def close(self) -> None:
        for handle in self._handles:
            handle.close()

    def _dequantise(self, part: int, type_name: str, flat: np.ndarray, name: str) -> None:
        from gguf import GGMLQuantizationType, quants  # takes half a second, and few files need it

        number, size, width = _BLOCKS[type_name]
        kind = GGMLQuantizationType(number)
        raw = np.empty(math.ceil(_CHUNK / size) * width, np.uint8)
        for start in range(0, flat.size, _CHUNK):
            count = min(_CHUNK, flat.size - start)
            data = raw[: count // size * width]
            self._fill(part, data.data, name)
            with np.errstate(all="ignore"):  # overflows are reported as infinite later
                flat[start : start + count] = quants.dequantize(data[None], kind)[0]

    def _fill(self, part: int, target: memoryview, name: str) -> None:
        """Read exactly `len(target)` bytes; the system may return fewer at a time."""
        done = 0
        while done < len(target):
            got = self._handles[part].readinto(target[done:])
            if not got:
                expected = f"{len(target)} bytes"
                raise PresetError.at(
                    self.file, shown(name), expected, f"the file ends after {done}"
                )
            done += got
