"""A lock for one writer at a time. The system releases it when its holder dies."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.errors import PresetError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        os.lseek(descriptor, 2**30, os.SEEK_SET)  # others cannot read locked bytes
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_HELD = re.compile(r"saved by workbench through ([0-9a-f]{16})\n")
# Windows would write a line end that `recorded` does not read.
_CAREFULLY = sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


class Record:
    """The content of a lock file: the token of the save that holds it, or of a killed one.

    Leftovers of a save have the token in their names, so the next save recognises them.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def token(self) -> str | None:
        """Return the token of the previous save; None if that finished."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return _token(os.read(self._descriptor, 100))

    def begin(self, token: str) -> None:
        """Write a token to disk before any name contains it."""
        self.end()
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        left = f"saved by workbench through {token}\n".encode()
        try:
            while left:  # a full disk may take only a part
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError:
            self.end()
            raise

    def end(self) -> None:
        """Remove the token, once no name contains it any more."""
        os.ftruncate(self._descriptor, 0)


def record_of(target: Path) -> Path:
    """Return the lock file for saves of a file or folder, which is next to it."""
    return target.parent / f".{target.name}.saving"


def recorded(path: Path) -> str | None:
    """Return the token in a lock file; None if there is no such file."""
    with suppress(OSError):
        if path.is_file():
            return _token(path.read_bytes()[:100])
    return None


def _token(data: bytes) -> str | None:
    found = _HELD.fullmatch(data.decode("ascii", "replace"))
    return found and found[1]


@contextmanager
def locked(path: Path) -> Iterator[Record]:
    """Hold the lock file `path`, which is created here and removed afterwards.

    A file whose record still has a token stays for the next holder.

    Raises:
        PresetError: another process or thread holds it, or somebody else owns the file.
        OSError: the file cannot be created.
    """
    descriptor = _open(path)
    record = Record(descriptor)
    try:
        yield record
    finally:
        if os.fstat(descriptor).st_size == 0:
            with suppress(OSError):  # Windows cannot remove an open file; an empty one stays
                path.unlink()
        os.close(descriptor)


def _open(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _CAREFULLY, 0o666)
        try:
            _check_ours(path, descriptor)
            _try_lock(descriptor)
            current = is_current(path, descriptor)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            reason = "another process is saving there, or another thread"
            raise PresetError(f"{path}: {reason}") from None
        except BaseException:
            os.close(descriptor)
            raise
        if current:
            return descriptor
        os.close(descriptor)


def _check_ours(path: Path, descriptor: int) -> None:
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        data = os.read(descriptor, 100)
        if not data or _token(data):
            return
    raise PresetError.at("save", path, "nothing, for this is the name of a lock", "another file")


def is_current(path: Path, descriptor: int) -> bool:
    """Return whether the open file is still the one at the path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
