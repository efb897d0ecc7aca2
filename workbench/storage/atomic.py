"""Replacing a folder or a file in one step: a kill at any moment leaves the old content or the new.

The new content is written into a hidden folder beside the target, brought to the disk, and the
two change places. What a killed save leaves behind is hidden, ignored, and swept by the next one,
which knows its name from a record beside the target (`lock.Record`) and touches nothing else.
Nothing here knows what a preset is.
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
_ENDINGS = (".weights.h5", ".keras")  # Keras writes to no name that ends otherwise


@contextmanager
def replacing(
    target: str | Path, needed: int, dropped: Callable[[Path], Collection[str]] = lambda old: ()
) -> Iterator[Path]:
    """A new folder to write into; when the block ends without error it becomes `target`.

    Files written under the name of an old one take its place. All else that is in the old folder
    is in the new one, too: subfolders, links, empty folders, whatever they are.

    Args:
        target: the folder to make or replace. Folders above it are made.
        needed: bytes about to be written, checked against the free disk space first.
        dropped: given the old folder, the paths of its files, with slashes, that are not kept.

    Raises:
        PresetError: no space, no permission, another process is saving there, the target is no
            folder that can be replaced, or a text cannot be written as UTF-8. The old folder is
            as it was.
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
    """A path to write a new file at; when the block ends without error it becomes `target`.

    Args:
        target: the file to make or replace. Folders above it are made.
        needed: bytes about to be written, checked against the free disk space first.

    Raises:
        PresetError: no space, no permission, or the target is no file. The old file is as it was.
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
    """Where the content of `target` is: there, or set aside by a save that was killed between
    two renames on a system that cannot swap folders."""
    if target.exists():
        return target
    token = recorded(record_of(target))
    aside = target if token is None else _beside(target, token)[1]
    return aside if aside.is_dir() else target


def real_path(target: str | Path) -> Path:
    """The place that is written to, links followed.

    Raises:
        PresetError: no path can be called so.
    """
    try:
        os.fspath(target).encode()
        return Path(os.path.realpath(Path(target).expanduser()))
    except (AttributeError, TypeError, ValueError, RuntimeError, OSError):
        expected = "the path of a folder or file, Unicode without NUL"
        raise PresetError.at("save", "path", expected, shown(target)) from None


def _beside(target: Path, token: str) -> tuple[Path, Path]:
    """Where a save with this token writes, and where it puts the old folder if it cannot swap."""
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
    with suppress(RuntimeError):  # a user without a home
        return Path.home().is_relative_to(target)
    return False


def _check_file(target: Path) -> None:
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        got = "a folder" if target.is_dir() else "another kind of file"
        raise PresetError.at("save", target, "a file", got)


@contextmanager
def _staged(target: Path) -> Iterator[tuple[Path, Path]]:
    """Two names beside the target that nothing has; what has them in the end is removed."""
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
    """Remove what a killed save of `target` left beside it; nothing where another one is at work.
    A folder that was set aside comes back."""
    with suppress(OSError, PresetError), locked(record_of(target)) as record:
        _sweep(target, record)


def _sweep(target: Path, record: Record) -> None:
    """Undo what a save left that did not come to its end."""
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
    """Remove something from a folder that may not be written to, as some folders are in the end."""
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
    with suppress(OSError, PresetError):  # what somebody has made there in the meantime
        carry(new if swapped else old, target, names)


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
