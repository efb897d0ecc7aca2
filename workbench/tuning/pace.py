"""Measures a run's speed and estimates its remaining time."""

from __future__ import annotations

from collections import deque

WINDOW = 20  # steps


class Pace:
    """Seconds of the last steps, validations and rounds of samples. Callers leave out those that
    had to compile, because later ones do not."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._others: dict[str, float] = {}

    def step_took(self, seconds: float, tokens: int) -> None:
        """Record the seconds of a step with this many learnt tokens."""
        self._steps.append((seconds, tokens))

    def other_took(self, kind: str, seconds: float) -> None:
        """Record the seconds of a validation or another `kind` of work."""
        self._others[kind] = seconds

    @property
    def tokens_per_second(self) -> float | None:
        """Learnt tokens per second, the mean of the last steps; None before the first."""
        seconds = sum(seconds for seconds, _ in self._steps)
        return sum(tokens for _, tokens in self._steps) / seconds if seconds else None

    def remaining(self, steps: int, others: dict[str, int]) -> float | None:
        """Return the seconds for this many steps and this many of each other kind of work; None
        before the first step."""
        if not self._steps:
            return None
        step = sum(seconds for seconds, _ in self._steps) / len(self._steps)
        extra = sum(self._others.get(kind, 0.0) * count for kind, count in others.items())
        return steps * step + extra
