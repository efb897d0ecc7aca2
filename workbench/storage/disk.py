"""Disk space for a save, and syncing its files to disk."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from workbench.errors import PresetError


def check_space(folder: Path, needed: int) -> None:
    """Raise PresetError if a file system has fewer free bytes than needed."""
    if shutil.disk_usage(folder).free < needed:
        raise PresetError(f"{folder}: not enough disk space: {space(folder, needed)}")


def space(folder: Path, needed: int) -> str:
    """Return the bytes needed and free, for messages."""
    free = "unknown"
    with suppress(OSError):
        free = str(shutil.disk_usage(folder).free)
    return f"{needed} bytes needed, {free} free"


def sync(path: Path) -> None:
    """Sync a file, or a folder's list of names, to disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    flags = os.O_RDWR if os.name == "nt" else os.O_RDONLY  # Windows syncs only writable files
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Sync a folder with everything in it to disk."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)
