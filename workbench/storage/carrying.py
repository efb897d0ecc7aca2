"""Keeps the other content of a folder that is replaced, unchanged and of any kind.

Files become hard links to the same data, so ten gigabytes cost nothing and an open file stays the
same file. They are copied only if the file system has no hard links.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection
from contextlib import suppress
from errno import EXDEV
from pathlib import Path

from workbench.errors import PresetError
from workbench.storage.disk import check_space, sync


def carry(old: Path, new: Path, dropped: Collection[str], below: str = "") -> bool:
    """Give `new` everything in `old` that it lacks, except the files named in `dropped`.

    Empty folders stay; folders that held only dropped files are removed.

    Args:
        old, new: folders on one file system.
        dropped: paths of files relative to the top folder, with slashes.
        below: the path of `old` relative to the top folder, with a slash at the end.

    Returns:
        Whether anything of `old` stays.

    Raises:
        PresetError: one has a file where the other has a folder, or `old` contains another file
            system.
        OSError: something cannot be linked or copied.
    """
    with os.scandir(old) as found:
        entries = list(found)
    stays = [_carry_entry(entry, new / entry.name, dropped, below) for entry in entries]
    return any(stays) or not entries


def _carry_entry(entry: os.DirEntry[str], to: Path, dropped: Collection[str], below: str) -> bool:
    name, is_folder = below + entry.name, entry.is_dir(follow_symlinks=False)
    if not is_folder and name in dropped:
        return False
    if os.path.lexists(to):
        _check_same_kind(name, is_folder, to)
    if is_folder:
        return _carry_folder(Path(entry.path), to, dropped, name)
    if not os.path.lexists(to):
        _link(Path(entry.path), to)
    return True


def _check_same_kind(name: str, is_folder: bool, there: Path) -> None:
    kinds = ("a file", "a folder")
    will_be_folder = stat.S_ISDIR(there.lstat().st_mode)
    if will_be_folder != is_folder:
        raise PresetError.at("save", name, kinds[will_be_folder], kinds[is_folder])


def _carry_folder(old: Path, new: Path, dropped: Collection[str], name: str) -> bool:
    if os.path.ismount(old):  # deleting the old folder would empty what is mounted there
        raise PresetError.at("save", old, "nothing mounted inside the folder", "a mount point")
    made = not new.exists()
    if made:
        new.mkdir()
    stays = carry(old, new, dropped, name + "/")
    if stays:
        copy_attributes(old, new)
    elif made:
        new.rmdir()
    return stays


def copy_attributes(old: Path, new: Path) -> None:
    """Give a folder or file the owner, permissions and times of another."""
    if hasattr(os, "chown"):
        found = old.stat()
        with suppress(OSError):  # only an administrator can change a file's owner
            os.chown(new, found.st_uid, found.st_gid)
    shutil.copystat(old, new)


def _link(old: Path, new: Path) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno == EXDEV:  # inside a mount of the same disk
            raise
        _copy(old, new)


def _copy(old: Path, new: Path) -> None:
    """Copy a file or symbolic link, for file systems without hard links."""
    found = old.lstat()
    if not stat.S_ISLNK(found.st_mode) and not stat.S_ISREG(found.st_mode):
        raise PresetError.at("save", old, "a file that can be copied", "another kind of file")
    check_space(new.parent, found.st_size)
    shutil.copy2(old, new, follow_symlinks=False)
    if stat.S_ISREG(found.st_mode):
        sync(new)
