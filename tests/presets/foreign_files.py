"""A folder as somebody uses it, and what is in it before and after a save."""

from __future__ import annotations

import os
import signal
import socket
import stat
from contextlib import contextmanager
from pathlib import Path

FILES = {
    "README.md": b"notes",
    "model_epoch_05.weights.h5": b"mine",
    "task.weights.h5": b"mine, too",
    "model_00007.weights.h5": b"and this",
    "model-00003-of-00009.safetensors": b"of another model",
    "adapter_model.bin": b"a pickle",
    "chat_template.txt": b"",
    "metadata.new": b"x",
    "sub/deep/notes": b"deep",
    "assets/pictures/cat.png": b"\x89PNG",
    ".git/HEAD": b"ref: refs/heads/main\n",
    ".git/objects/ab/cdef": b"blob",
    ".git/hooks/pre-commit": b"#!/bin/sh\n",
}


def furnish(folder: Path) -> Path:
    """Fill a folder with everything that a file system has."""
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / ".git/objects/ab/cdef").chmod(0o444)
    (folder / ".git/hooks/pre-commit").chmod(0o755)
    (folder / ".git/refs/tags").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "private").mkdir(0o700)
    (folder / "shut").mkdir()
    (folder / "shut" / "file").write_bytes(b"shut in")
    (folder / "shut").chmod(0o555)
    (folder / "link").symlink_to("README.md")
    (folder / "nowhere").symlink_to("/nowhere/at/all")
    (folder / "way").symlink_to("sub")
    furnish_specials(folder)
    return folder


def furnish_specials(folder: Path) -> None:
    """What blocks those who open it, or cannot be opened."""
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)


def inventory(folder: Path) -> dict[str, tuple]:
    """Everything below a folder: a file is the same if it is at the same place of the disk."""
    return {path.relative_to(folder).as_posix(): _seen(path) for path in folder.rglob("*")}


def _seen(path: Path) -> tuple:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        return found.st_mode, found.st_uid
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
    return found.st_mode, found.st_uid, found.st_ino, found.st_mtime_ns, content


@contextmanager
def not_blocked(seconds: int = 60):
    """The block ends before a deadline, or fails."""

    def late(*_):
        raise TimeoutError("blocked")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
