"""Measures the time a generation spends compiling, in prefill and decoding."""

from __future__ import annotations

import time
from typing import Literal

from workbench.generation.events import Stats

Work = Literal["compile", "prefill", "decode"]


class WorkClock:
    """Wall-clock seconds by kind of work, counted from construction or from `start`."""

    def __init__(self) -> None:
        self.work: Work = "prefill"
        self.spent: dict[Work, float] = {"compile": 0.0, "prefill": 0.0, "decode": 0.0}
        self._last = time.perf_counter()

    def start(self) -> None:
        """Restart the clock; the time since the last lap does not count."""
        self._last = time.perf_counter()

    def lap(self, work: Work) -> None:
        """Add the time since the last lap to this kind of work."""
        now = time.perf_counter()
        self.spent[work] += now - self._last
        self._last = now

    def stats(self, prompt_tokens: int, new_tokens: int, reused_tokens: int = 0) -> Stats:
        """Return a `Stats` of these token counts and the times so far."""
        return Stats(
            prompt_tokens=prompt_tokens,
            new_tokens=new_tokens,
            prefill_seconds=self.spent["prefill"],
            decode_seconds=self.spent["decode"],
            compile_seconds=self.spent["compile"],
            reused_tokens=reused_tokens,
        )
