"""Checks binary messages from the page, and joins those that come in parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.errors import SettingError

MAX_PARTS = 1_000


class TooLarge(SettingError):
    """A message from the page has too many bytes."""


class Parts:
    """Collects a large message that the page sends in parts, since servers refuse large messages.

    Args:
        most_bytes: The most bytes of all parts together.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._parts: list[bytes] = []

    def take(self, part: object, parts: object, buffers: Sequence[bytes]) -> bytes | None:
        """Add a part; return the whole message after the last part, None before.

        Raises:
            SettingError: It is not the next part.
            TooLarge: The parts so far are too large.
        """
        self._check(part, parts, buffers)
        if part == 0:
            self._parts = []
        self._parts.append(bytes(buffers[0]))
        size = sum(map(len, self._parts))
        if size > self.most_bytes:
            self._parts = []
            raise TooLarge(f"what comes from the page may have {self.most_bytes // 10**6} MB")
        if len(self._parts) < parts:
            return None
        content, self._parts = b"".join(self._parts), []
        return content

    def _check(self, part: object, parts: object, buffers: Sequence[bytes]) -> None:
        if type(part) is not int or type(parts) is not int or not 0 < parts <= MAX_PARTS:
            raise SettingError("part and parts must be whole numbers")
        if not (part == 0 or part == len(self._parts)) or part >= parts:
            raise SettingError(f"part {str(part)[:20]} is not the one that comes next")
        if len(buffers) != 1:
            raise SettingError(f"a part is one buffer, got {len(buffers)}")


def floats(content: bytes) -> np.ndarray:
    """Return bytes of little-endian float32 as an array (N,), a copy.

    Raises:
        SettingError: The number of bytes is not a multiple of 4.
    """
    if len(content) % 4:
        raise SettingError(f"floats of 4 bytes do not make {len(content):,} bytes")
    return np.frombuffer(content, "<f4").astype(np.float32)
