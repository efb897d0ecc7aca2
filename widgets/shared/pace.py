"""How often a panel may speak while text streams, so that neither server nor page is flooded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

SPACING = 0.06  # seconds between messages: at most 17 a second
SNAPSHOT_EVERY = 0.5  # seconds between snapshots while they are small
SNAPSHOT_RATE = 25_000  # characters a second that snapshots may take, so large ones come seldom


class Throttle:
    """Says yes at most once in so many seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last = float("-inf")

    def ready(self) -> bool:
        """True when the last yes is long enough ago."""
        now = self._clock()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Pace:
    """Decides what may be sent now: new tokens only, everything so far, or nothing yet.

    A snapshot takes the place of a delta. Nothing is lost by waiting: what is not sent now is
    part of the next message, and the run's last snapshot does not ask.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._message = Throttle(SPACING, clock)
        self._snapshot = clock()

    def due(self, size: int) -> Literal["delta", "snapshot"] | None:
        """What to send, given that a snapshot would take `size` characters."""
        if not self._message.ready():
            return None
        now = self._clock()
        if now - self._snapshot < max(SNAPSHOT_EVERY, size / SNAPSHOT_RATE):
            return "delta"
        self._snapshot = now
        return "snapshot"
