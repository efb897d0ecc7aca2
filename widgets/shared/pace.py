"""Limits how often a panel sends messages while text streams, to protect server and page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

SPACING = 0.06  # seconds between messages: at most 17 a second
SNAPSHOT_EVERY = 0.5  # seconds between snapshots while they are small
SNAPSHOT_RATE = 25_000  # characters a second that snapshots may take, so large ones come seldom


class Throttle:
    """Allows something at most once per interval, in seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last = float("-inf")

    def ready(self) -> bool:
        """Return True, and restart the interval, if the last True is long enough ago."""
        now = self._clock()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Pace:
    """Decides what to send now: only new tokens, everything so far, or nothing yet.

    A snapshot replaces a delta. Waiting loses nothing: the next message contains what was not sent,
    and the run's last snapshot is always sent.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._message = Throttle(SPACING, clock)
        self._snapshot = clock()

    def due(self, size: int) -> Literal["delta", "snapshot"] | None:
        """Return what to send, if a snapshot takes `size` characters."""
        if not self._message.ready():
            return None
        now = self._clock()
        if now - self._snapshot < max(SNAPSHOT_EVERY, size / SNAPSHOT_RATE):
            return "delta"
        self._snapshot = now
        return "snapshot"
