"""One writer at a time. The system releases the lock when its holder dies."""

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
        os.lseek(descriptor, 2**30, os.SEEK_SET)  # what is locked cannot be read by others
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_HELD = re.compile(r"saved by workbench through ([0-9a-f]{16})\n")
# Windows would write another line end than `recorded` reads.
_CAREFULLY = sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


class Record:
    """The content of a lock file: the token of the save that holds it, or held it and was killed.

    What a save leaves behind has the token in its name, so that the next one knows it from
    everything else.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def token(self) -> str | None:
        """The token of the save before, None where it came to its end."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return _token(os.read(self._descriptor, 100))

    def begin(self, token: str) -> None:
        """Note a token, on the disk, before anything has it in its name."""
        self.end()
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        left = f"saved by workbench through {token}\n".encode()
        try:
            while left:  # a disk that fills up takes a part
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError:
            self.end()
            raise

    def end(self) -> None:
        """Forget the token: nothing is left that has it in its name."""
        os.ftruncate(self._descriptor, 0)


def record_of(target: Path) -> Path:
    """The lock file of who saves a file or folder, beside it."""
    return target.parent / f".{target.name}.saving"


def recorded(path: Path) -> str | None:
    """The token in a lock file, None where there is no such file."""
    with suppress(OSError):
        if path.is_file():
            return _token(path.read_bytes()[:100])
    return None


def _token(data: bytes) -> str | None:
    found = _HELD.fullmatch(data.decode("ascii", "replace"))
    return found and found[1]


@contextmanager
def locked(path: Path) -> Iterator[Record]:
    """Hold the lock file `path`, made for the purpose and removed afterwards.

    A file whose record has not ended stays, for the next holder.

    Raises:
        PresetError: another process or thread holds it, or the file is somebody else's.
        OSError: the file cannot be made.
    """
    descriptor = _open(path)
    record = Record(descriptor)
    try:
        yield record
    finally:
        if os.fstat(descriptor).st_size == 0:
            with suppress(OSError):  # Windows removes no open file; an empty one stays
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
    """Whether the open file is still the one at the path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
