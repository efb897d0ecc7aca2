"""Binary messages from the page: checked, and put together where they come in parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.errors import SettingError

MAX_PARTS = 1_000


class TooLarge(SettingError):
    """What comes from the page has more bytes than it may."""


class Parts:
    """Something large on its way from the page, in parts: a server refuses large messages.

    Args:
        most_bytes: What all parts together may have.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._parts: list[bytes] = []

    def take(self, part: object, parts: object, buffers: Sequence[bytes]) -> bytes | None:
        """Everything once its last part is here; None before.

        Raises:
            SettingError: It is not the part that comes next.
            TooLarge: It is too large by now.
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
    """Bytes of little-endian float32 as an array (N,), a copy.

    Raises:
        SettingError: They are not whole numbers of floats.
    """
    if len(content) % 4:
        raise SettingError(f"floats of 4 bytes do not make {len(content):,} bytes")
    return np.frombuffer(content, "<f4").astype(np.float32)
