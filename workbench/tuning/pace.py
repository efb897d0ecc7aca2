"""How fast a run goes, and how long it will take."""

from __future__ import annotations

from collections import deque

WINDOW = 20  # steps


class Pace:
    """Seconds of the last steps, validations and rounds of samples. Those in which a program was
    compiled are not told to it: they say nothing about the next."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._others: dict[str, float] = {}

    def step_took(self, seconds: float, tokens: int) -> None:
        """A step of so many learnt tokens."""
        self._steps.append((seconds, tokens))

    def other_took(self, kind: str, seconds: float) -> None:
        """A validation, or whatever else is called `kind`."""
        self._others[kind] = seconds

    @property
    def tokens_per_second(self) -> float | None:
        """Learnt tokens a second, the mean of the last steps; None before there was one."""
        seconds = sum(seconds for seconds, _ in self._steps)
        return sum(tokens for _, tokens in self._steps) / seconds if seconds else None

    def remaining(self, steps: int, others: dict[str, int]) -> float | None:
        """Seconds for so many steps, and so many of each other kind; None before there was a
        step."""
        if not self._steps:
            return None
        step = sum(seconds for seconds, _ in self._steps) / len(self._steps)
        extra = sum(self._others.get(kind, 0.0) * count for kind, count in others.items())
        return steps * step + extra
