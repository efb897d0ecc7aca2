"""Writes safetensors files and raises disk errors as OSError."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

_NUMBER = re.compile(r"\(os error (\d+)\)")


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write contiguous tensors in the form that PyTorch programs read. Raises OSError when the disk
    fails; the library's own error says so only in its text."""
    try:
        save_file(dict(tensors), path, metadata={"format": "pt"})
    except SafetensorError as error:
        found = _NUMBER.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
