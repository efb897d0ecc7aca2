"""A digest of all tensors of a file, stored inside a file that stands alone.

It covers the tensors and not the file's bytes: other programs may write the same tensors to other
positions, and unused bytes may differ.
"""

from __future__ import annotations

import hashlib

import numpy as np

ATTRIBUTE = "workbench_sha256"


class TensorDigest:
    """Collects tensors, in any order."""

    def __init__(self) -> None:
        self._tensors: dict[str, str] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        """Add a tensor: its name, type, shape and numbers."""
        digest = hashlib.sha256(f"{name} {values.dtype.name} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
        self._tensors[name] = digest.hexdigest()

    def hexdigest(self) -> str:
        """Return the digest of all tensors, in hexadecimal."""
        lines = (f"{digest}  {name}\n" for name, digest in sorted(self._tensors.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()
