"""The interface of a weight file in any format."""

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
"""The float dtypes that are read and written."""

INTEGERS = {"int8": np.dtype(np.int8)}
"""The dtypes of the codes and zeros of a quantized model."""

STORED = FLOATS | INTEGERS

MAX_TENSORS = 100_000
MAX_RANK = 32
MAX_FILES = 500
"""The most files of one model, all open at once; the largest published ones have about 200."""


def check_files(index: str, names: Collection[str]) -> None:
    """Refuse an index that names more files than may be open.

    Raises:
        PresetError: it names too many; the message names the index.
    """
    if len(names) > MAX_FILES:
        raise PresetError.at(index, "weight_map", f"at most {MAX_FILES} files", len(names))


class TensorSource(Protocol):
    """Named tensors in one or several files. Shapes and dtypes cost nothing; only `read` reads
    data.

    `read` returns new memory that nothing else refers to. All answers of a source have been checked
    against the size of its files.
    """

    file: str
    """The file's name, for messages."""

    def names(self) -> Collection[str]:
        """Return the names of all tensors."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        ...

    def dtype(self, name: str) -> str:
        """Return the dtype of a tensor by numpy's name, or "bfloat16"."""
        ...

    def read(self, name: str) -> np.ndarray:
        """Return the values of a tensor with a dtype in STORED. Raises PresetError if the file
        fails."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...
