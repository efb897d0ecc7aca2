"""Locks that keep a file or folder from being replaced while it is read.

The lock is on the file or folder itself, so reading creates no files. It only binds programs that
ask for it. Other programs always find a complete folder, but it may be replaced at any moment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.errors import PresetError
from workbench.storage.lock import is_current, record_of

if sys.platform != "win32":
    import fcntl

PATIENCE = 30.0
"""Seconds that a writer waits for readers before it goes ahead; those readers then get an error."""

_PAUSE = 0.005


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Keep writers from replacing a file or folder while the block reads it.

    Does nothing on Windows, or if the path cannot be opened.

    Raises:
        PresetError: a writer replaced it anyway, after waiting `PATIENCE` seconds.
    """
    _give_way(path)
    descriptor = _open_to_read(path)
    if descriptor is None:
        yield
        return
    try:
        yield
    except (OSError, PresetError) as error:
        if is_current(path, descriptor):
            raise
        raise _replaced(path) from error
    else:
        if not is_current(path, descriptor):
            raise _replaced(path)
    finally:
        os.close(descriptor)


@contextmanager
def unread(path: Path) -> Iterator[None]:
    """Wait for the readers of a file or folder, and make new ones wait while the block runs."""
    descriptor = _descriptor(path)
    try:
        if descriptor is not None:
            _wait_for_readers(descriptor)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _give_way(path: Path) -> None:
    """Let a waiting writer go first; otherwise successive readers would block it for ever."""
    with suppress(OSError, ValueError):
        if record_of(path).exists():
            time.sleep(2 * _PAUSE)


def _open_to_read(path: Path) -> int | None:
    """Open the path and lock it against writers; reopen it if it was replaced in between."""
    while (descriptor := _descriptor(path)) is not None:
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            if is_current(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    return None


def _descriptor(path: Path) -> int | None:
    if sys.platform != "win32":  # Windows cannot replace what is open
        with suppress(OSError, ValueError):
            return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    return None


def _wait_for_readers(descriptor: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            return


def _replaced(path: Path) -> PresetError:
    return PresetError(f"{path}: it was replaced while it was read: load it again")
