"""Replacing a folder or a file in one step: a kill at any moment leaves the old content or the new.

The new content is written into a hidden folder beside the target, brought to the disk, and the
two change places. What a killed save leaves behind is hidden, ignored, and swept by the next one.
Nothing here knows what a preset is.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.errors import PresetError
from workbench.presets.lock import locked

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


@contextmanager
def replacing(
    target: Path, needed: int, replaced: Callable[[str], bool] = lambda name: True
) -> Iterator[Path]:
    """A new folder to write into; when the block ends without error it becomes `target`.

    Args:
        target: the folder to make or replace. Folders above it are made.
        needed: bytes about to be written, checked against the free disk space first.
        replaced: given the path of a file in the old folder, relative to it with slashes,
            whether it is dropped; the others are carried into the new folder.

    Raises:
        PresetError: no space, no permission, another process is saving there, or the target is
            no folder that can be replaced. The old folder is as it was.
    """
    target = Path(os.path.realpath(target))
    try:
        _check_target(target)  # which another process may be swapping at this moment
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(_beside(target, "lock")):
            new = _swept(target)
            _check_space(target.parent, needed)
            new.mkdir()
            try:
                yield new
                _carry(target, new, replaced)
                _sync_tree(new)
                _take_place(new, target)
            finally:
                with suppress(OSError):
                    _swept(target)
    except OSError as error:
        raise PresetError(
            f"{target}: not saved: {error.strerror or error}; {_space(target.parent, needed)}. "
            "What was there before is unchanged."
        ) from error


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """A path to write a new file at; when the block ends without error it becomes `target`.

    Args:
        target: the file to make or replace. Folders above it are made.

    Raises:
        PresetError: no space, no permission, or the target is a folder. The old file is as it was.
    """
    target = Path(os.path.realpath(target))
    new = _beside(target, "new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(_beside(target, "lock")):
            new.unlink(missing_ok=True)
            try:
                yield new
                _sync(new)
                os.replace(new, target)
                _sync(target.parent)
            finally:
                with suppress(OSError):
                    new.unlink(missing_ok=True)
    except OSError as error:
        raise PresetError(
            f"{target}: not saved: {error.strerror or error}. What was there before is unchanged."
        ) from error


def surviving(target: Path) -> Path:
    """Where the content of `target` is: there, or set aside by a save that was killed between
    two renames on a system that cannot swap folders."""
    old = _beside(target, "old")
    return old if not target.exists() and old.is_dir() else target


def _beside(target: Path, kind: str) -> Path:
    return target.parent / f".{target.name}.{kind}"


def _check_target(target: Path) -> None:
    here = Path(os.path.realpath(os.curdir))
    if target.exists() and not target.is_dir():
        raise PresetError.at("save", target, "a folder", "a file")
    if here.is_relative_to(target) or Path.home().is_relative_to(target) or target.is_mount():
        expected = "not the working or home directory, one above it, or a mount point"
        raise PresetError.at("save", "folder", expected, target)


def _swept(target: Path) -> Path:
    """Undo what a save left that did not come to its end; give the path for the new folder."""
    new, old = _beside(target, "new"), _beside(target, "old")
    survivor = surviving(target)
    if survivor != target:
        survivor.rename(target)
    for leftover in (new, old):
        if leftover.exists():
            shutil.rmtree(leftover)
    return new


def _check_space(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise PresetError(f"{folder}: not enough disk space: {_space(folder, needed)}")


def _space(folder: Path, needed: int) -> str:
    free = "unknown"
    with suppress(OSError):
        free = str(shutil.disk_usage(folder).free)
    return f"{needed} bytes needed, {free} free"


def _carry(target: Path, new: Path, replaced: Callable[[str], bool]) -> None:
    """Bring the other files of the old folder along, as further names of the same data."""
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        destination = new / name
        if path.is_dir() and not path.is_symlink():
            continue
        if replaced(name) or os.path.lexists(destination):
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, destination, follow_symlinks=False)
        except OSError:  # a file system without links
            shutil.copy2(path, destination, follow_symlinks=False)


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            _sync(path)


def _sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_place(new: Path, target: Path) -> None:
    if not target.exists():
        new.rename(target)
        _sync(target.parent)
        return
    shutil.copymode(target, new)
    if not exchange(new, target):
        target.rename(_beside(target, "old"))
        new.rename(target)
    _sync(target.parent)


def exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step; False where the system or the file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, TypeError, AttributeError):
        return False
    return (
        renameat2(
            _AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), ctypes.c_uint(_RENAME_EXCHANGE)
        )
        == 0
    )
