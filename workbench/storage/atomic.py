"""Replaces a folder or file atomically: a kill at any moment leaves the old or the new content.

A save writes the new content into a hidden folder next to the target, syncs it to disk, and swaps
the two. Leftovers of a killed save are hidden and ignored. The next save removes them: it knows
their name from a record next to the target (`lock.Record`) and touches nothing else. This module
does not know what a preset is.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.errors import PresetError
from workbench.storage.carrying import carry, copy_attributes
from workbench.storage.disk import check_space, space, sync, sync_tree
from workbench.storage.json_files import shown
from workbench.storage.lock import Record, locked, record_of, recorded
from workbench.storage.readers import unread

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_ENDINGS = (".weights.h5", ".keras")  # Keras refuses names with another ending


@contextmanager
def replacing(
    target: str | Path, needed: int, dropped: Callable[[Path], Collection[str]] = lambda old: ()
) -> Iterator[Path]:
    """Yield a new folder to write into; if the block ends without error, it becomes `target`.

    New files replace old ones of the same name. Everything else in the old folder is kept: files,
    subfolders, links, empty folders.

    Args:
        target: the folder to create or replace; missing parent folders are created.
        needed: bytes about to be written, checked against the free disk space first.
        dropped: takes the old folder and returns the paths, with slashes, of its files to drop.

    Raises:
        PresetError: no space, no permission, another process is saving there, the target is not a
            replaceable folder, or a text cannot be written as UTF-8. The old folder stays
            unchanged.
    """
    target = real_path(target)
    with _named_errors(target, needed):
        _check_folder(target)  # which another process may be swapping at this moment
        with _staged(target) as (new, old):
            check_space(target.parent, needed)
            new.mkdir()
            yield new
            sync_tree(new)
            _take_place(new, old, target, dropped)


@contextmanager
def replacing_file(target: str | Path, needed: int = 0) -> Iterator[Path]:
    """Yield a path for a new file; if the block ends without error, it becomes `target`.

    Args:
        target: the file to create or replace; missing parent folders are created.
        needed: bytes about to be written, checked against the free disk space first.

    Raises:
        PresetError: no space, no permission, or the target is not a file. The old file is kept.
    """
    target = real_path(target)
    with _named_errors(target, needed):
        _check_file(target)
        with _staged(target) as (new, _):
            check_space(target.parent, needed)
            yield new
            if target.exists():
                shutil.copymode(target, new)
            sync(new)
            with unread(target):
                os.replace(new, target)
            sync(target.parent)


def surviving(target: Path) -> Path:
    """Return the path of the content of `target`: usually `target`, otherwise the place to which a
    save moved it before it was killed, on a system that cannot swap folders."""
    if target.exists():
        return target
    token = recorded(record_of(target))
    aside = target if token is None else _beside(target, token)[1]
    return aside if aside.is_dir() else target


def real_path(target: str | Path) -> Path:
    """Return the path to write to, with links resolved.

    Raises:
        PresetError: the path is invalid.
    """
    try:
        os.fspath(target).encode()
        return Path(os.path.realpath(Path(target).expanduser()))
    except (AttributeError, TypeError, ValueError, RuntimeError, OSError):
        expected = "the path of a folder or file, Unicode without NUL"
        raise PresetError.at("save", "path", expected, shown(target)) from None


def _beside(target: Path, token: str) -> tuple[Path, Path]:
    """Return the path to which a save with this token writes, and the one to which it moves the old
    folder if it cannot swap."""
    ending = next((one for one in _ENDINGS if target.name.endswith(one)), "")
    new, old = f".{target.name}.{token}{ending}", f".{target.name}.{token}.old"
    return target.parent / new, target.parent / old


@contextmanager
def _named_errors(target: Path, needed: int) -> Iterator[None]:
    unchanged = "What was there before is unchanged."
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error}; {space(target.parent, needed)}"
        raise PresetError(f"{target}: not saved: {reason}. {unchanged}") from error
    except UnicodeError as error:
        reason = f"a text in it is no Unicode: {shown(str(error))}"
        raise PresetError(f"{target}: not saved: {reason}. {unchanged}") from error


def _check_folder(target: Path) -> None:
    here = Path(os.path.realpath(os.curdir))
    if target.exists() and not target.is_dir():
        raise PresetError.at("save", target, "a folder", "a file")
    if here.is_relative_to(target) or _is_above_home(target) or os.path.ismount(target):
        expected = "not the working or home directory, one above it, or a mount point"
        raise PresetError.at("save", "folder", expected, target)


def _is_above_home(target: Path) -> bool:
    with suppress(RuntimeError):  # a user without a home folder
        return Path.home().is_relative_to(target)
    return False


def _check_file(target: Path) -> None:
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        got = "a folder" if target.is_dir() else "another kind of file"
        raise PresetError.at("save", target, "a file", got)


@contextmanager
def _staged(target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield two unused paths next to the target; whatever is there at the end is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(record_of(target)) as record:
        _sweep(target, record)
        token = secrets.token_hex(8)
        record.begin(token)
        try:
            yield _beside(target, token)
        finally:
            with suppress(OSError):
                _sweep(target, record)


def sweep(target: Path) -> None:
    """Remove the leftovers of a killed save of `target`, unless another save is running. Restore an
    old folder that it had moved away."""
    with suppress(OSError, PresetError), locked(record_of(target)) as record:
        _sweep(target, record)


def _sweep(target: Path, record: Record) -> None:
    """Undo the leftovers of an unfinished save."""
    token = record.token()
    if token is None:
        return
    survivor = surviving(target)
    if survivor != target:
        survivor.rename(target)
    for leftover in _beside(target, token):
        _remove(leftover)
    record.end()


def _remove(leftover: Path) -> None:
    if leftover.is_dir():
        shutil.rmtree(leftover, onerror=_remove_anyway)
    else:
        leftover.unlink(missing_ok=True)


def _remove_anyway(remove: Callable[[str], None], path: str, error: object) -> None:
    """Remove something from a folder without write permission."""
    os.chmod(os.path.dirname(path), stat.S_IRWXU)
    if stat.S_ISDIR(os.lstat(path).st_mode):
        os.chmod(path, stat.S_IRWXU)
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _sync_folders(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        sync(Path(path))


def _take_place(
    new: Path, old: Path, target: Path, dropped: Callable[[Path], Collection[str]]
) -> None:
    if not target.exists():
        new.rename(target)
        sync(target.parent)
        return
    names = dropped(target)
    carry(target, new, names)
    copy_attributes(target, new)
    os.utime(new)
    _sync_folders(new)
    with unread(target):
        swapped = exchange(new, target)
        if not swapped:
            target.rename(old)
            new.rename(target)
    sync(target.parent)
    with suppress(OSError, PresetError):  # somebody created it in the meantime
        carry(new if swapped else old, target, names)


def exchange(a: Path, b: Path) -> bool:
    """Swap two folders atomically; return False if the system or file system cannot."""
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
