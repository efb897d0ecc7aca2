"""Writing safetensors files, with errors of the disk as such."""

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
    """Write contiguous tensors as PyTorch's programs read them. Raises OSError when the disk
    fails, of which the library's own error tells in its text only."""
    try:
        save_file(dict(tensors), path, metadata={"format": "pt"})
    except SafetensorError as error:
        found = _NUMBER.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
