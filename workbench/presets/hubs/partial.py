"""A partly downloaded file: earlier bytes are kept, and the whole is checked before it is used.

It has another name next to its target until it is complete, so nobody ever reads half of it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Self

from workbench.errors import PresetError
from workbench.presets.hubs.transfer import Transfer

_CHUNK = 2**20


class PartialFile:
    """The downloaded bytes of one file: a context manager and a writable file.

    Leaving the block keeps them for the next attempt, unless `land` has moved the file.

    Args:
        path: the file in which the bytes are collected.
        name: the name of the file in messages.
        expected: its size in bytes, or None if the hub does not state it; more bytes are refused.
        algorithm: the checksum to compute, such as "sha256"; None for none.
        transfer: is told of every byte; stops the writing once the caller has left.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        expected: int | None,
        algorithm: str | None,
        transfer: Transfer,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.expected = name, expected
        self._path, self._algorithm, self._transfer = path, algorithm, transfer
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._hash = self._new_hash()
        self.size = 0
        if expected is None or os.fstat(self._file.fileno()).st_size <= expected:
            self._take_in_what_is_there()
        else:
            self.restart()
        transfer.meter.start_at(self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, chunk: bytes) -> int:
        """Append. Raises LoadCancelled, or PresetError if more bytes come than announced."""
        self._transfer.check()
        self.size += len(chunk)
        if self.expected is not None and self.size > self.expected:
            self._discard(f"more than {self.expected} bytes")
        self._file.write(chunk)
        if self._hash is not None:
            self._hash.update(chunk)
        self._transfer.meter.add(len(chunk), self.name)
        return len(chunk)

    def tell(self) -> int:
        """Return the position of the next byte: the end."""
        return self.size

    def seek(self, position: int) -> int:
        """Go back to the start; `http_get` does so if a server cannot resume."""
        self.restart()
        return self.size

    def truncate(self) -> int:
        """Return the size: `seek` has already truncated the file."""
        return self.size

    def restart(self) -> None:
        """Discard the bytes so far."""
        self._transfer.meter.add(-self.size, self.name)
        self._file.seek(0)
        self._file.truncate()
        self._hash = self._new_hash()
        self.size = 0

    def land(self, target: Path, checksum: bytes | None) -> None:
        """Check the file and move it to its target.

        Args:
            target: its final path.
            checksum: its digest by this file's algorithm; None if the hub states none.

        Raises:
            PresetError: its size or checksum differs from the hub's. The file is removed.
        """
        if self.expected is not None and self.size != self.expected:
            raise PresetError.at(self.name, "size", f"{self.expected} bytes", self.size)
        if self._hash is not None and checksum not in (None, self._hash.digest()):
            self._discard(f"other content than its {self._algorithm} checksum says")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, target)

    def _discard(self, got: str) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
        raise PresetError.at(self.name, "download", "the file as the hub describes it", got)

    def _new_hash(self) -> hashlib._Hash | None:
        # The checksum detects damage in transit and does not prove origin: Kaggle states MD5.
        if not self._algorithm:
            return None
        return hashlib.new(self._algorithm, usedforsecurity=False)

    def _take_in_what_is_there(self) -> None:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            self._transfer.check()
            self.size += len(chunk)
            if self._hash is not None:
                self._hash.update(chunk)
