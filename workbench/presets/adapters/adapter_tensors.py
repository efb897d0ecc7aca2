"""The tensors of an adapter file: each is read once, and one error lists all problems."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from workbench.backbones.weights import Shape
from workbench.errors import AdapterError
from workbench.formats.tensors import FLOATS, TensorSource
from workbench.storage.json_files import first, shown


class Tensors:
    """Reads tensors by name as float32 and collects problems; `finish` raises them."""

    def __init__(self, source: TensorSource) -> None:
        self._source = source
        self._problems: list[str] = []

    def names(self) -> Collection[str]:
        """Return the names of all tensors in the file."""
        return self._source.names()

    def problem(self, name: str, expected: object, got: object) -> None:
        """Note a problem with a tensor or a module of the file."""
        self._problems.append(f"{shown(name)}: expected {expected}, got {got}")

    def take(self, name: str, shape: Shape) -> np.ndarray | None:
        """Return a tensor as float32, or None if it is missing or not finite floats of this
        shape."""
        if name not in self._source.names():
            self.problem(name, f"a tensor of shape {shape}", "none")
            return None
        got, dtype = self._source.shape(name), self._source.dtype(name)
        if got != shape:
            self.problem(name, f"shape {shape}", f"shape {shown(got)}")
        if dtype not in FLOATS:
            self.problem(name, " or ".join(FLOATS), dtype)
        if got != shape or dtype not in FLOATS:
            return None
        values = self._source.read(name).astype(np.float32, copy=False)
        if np.isfinite(values).all():
            return values
        self.problem(name, "finite numbers", "NaN or infinite ones")
        return None

    def finish(self) -> None:
        """Raise the collected problems.

        Raises:
            AdapterError: the file has problems (all are counted, the first 20 are listed) or no
                tensors.
        """
        problems = self._problems or ([] if self.names() else ["expected tensors, got none"])
        if problems:
            count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
            raise AdapterError(f"{self._source.file}: {count}:\n{first(problems)}")
