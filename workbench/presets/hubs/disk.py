"""Checks the disk space for a download and explains disk errors."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import PresetError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_space(where: str, folder: Path, needed: int, setting: str) -> None:
    """Check that the disk has room for a download.

    Args:
        where: the handle, for messages.
        folder: the cache for the download.
        needed: the bytes needed.
        setting: the environment variable that moves the cache elsewhere.

    Raises:
        PresetError: too few bytes are free.
    """
    if _free(folder) < needed:
        raise PresetError(
            f"{where}: the disk is too full: {_room(folder, needed)}. Free some, or set {setting} "
            "to a folder on another disk"
        )


@contextmanager
def disk_errors(where: str, folder: Path) -> Iterator[None]:
    """Turn disk errors in the block into a PresetError. Arguments as in `check_space`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            problem = f"the disk is full: {_room(folder)}"
        else:
            problem = f"{folder} cannot be written: {error.strerror or type(error).__name__}"
        raise PresetError(f"{where}: {problem}") from error


def _room(folder: Path, needed: int | None = None) -> str:
    wanted = "" if needed is None else f"{_size(needed)} to download, "
    return f"{wanted}{_size(_free(folder))} free in {folder}"


def _free(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e7 else f"{count} bytes"
