"""What a weight file offers, whatever its format."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import ml_dtypes
import numpy as np

from workbench.errors import PresetError

FLOATS = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
"""The dtypes of floats that are read and written."""

INTEGERS = {"int8": np.dtype(np.int8)}
"""The dtypes of the codes and zeros of a quantized model."""

STORED = FLOATS | INTEGERS

MAX_TENSORS = 100_000
MAX_RANK = 32
MAX_FILES = 500
"""Files of one model, all open at a time; the largest published ones have about 200."""


def check_files(index: str, names: Collection[str]) -> None:
    """Refuse an index that names more files than may be open.

    Raises:
        PresetError: naming the index.
    """
    if len(names) > MAX_FILES:
        raise PresetError.at(index, "weight_map", f"at most {MAX_FILES} files", len(names))


class TensorSource(Protocol):
    """Named tensors in one or several files. Shapes and dtypes cost nothing, `read` reads.

    `read` returns fresh memory that nothing else refers to. Everything a source answers has been
    checked against the size of its files.
    """

    file: str
    """The file's name, for messages."""

    def names(self) -> Collection[str]:
        """All tensors."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape."""
        ...

    def dtype(self, name: str) -> str:
        """Its dtype as numpy writes it, "bfloat16" included."""
        ...

    def read(self, name: str) -> np.ndarray:
        """Its values; only for the dtypes in STORED. Raises PresetError when the file fails."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...
