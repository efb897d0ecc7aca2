"""A run of the tune panel: its figures, for drawing and for restoring."""

from __future__ import annotations

import math
from array import array
from typing import Any

from workbench.tuning.events import Problem, Sample, Step, Validation

from ..shared.model import short_count
from ..shared.settings import Settings
from .settings import summary_of, text_of

COLUMNS = 6  # step, loss, learning rate, gradient norm, tokens/s, memory in GB
MAX_SAMPLE = 4000  # characters shown of a completion


class TuneRun:
    """Settings and results of a run.

    Args:
        number: The run's number in the panel, from 1.
        name: The adapter's name in `lm.adapters`.
        settings: The settings it was started with.
    """

    def __init__(self, number: int, name: str, settings: Settings) -> None:
        self.number = number
        self.name = name
        self.settings = settings
        self.steps = 0
        self.step = 0
        self.remaining: float | None = None
        self.validation: list[list[float]] = []
        self.samples: list[dict[str, Any]] = []
        self.best: tuple[int, float] | None = None
        self.kept = False
        self.problem = ""
        self.trained = 0  # the number of the adapter's parameters, once it exists
        self.seconds_per_step: float | None = None
        self.job: Any = None
        self._rows = array("f")

    @property
    def count(self) -> int:
        """The number of reported steps."""
        return len(self._rows) // COLUMNS

    @property
    def first(self) -> float:
        """The loss of the first step; nan before it."""
        return self._rows[1] if self._rows else math.nan

    @property
    def size(self) -> int:
        """The approximate size of a snapshot, in characters."""
        return 6 * len(self._rows) + 24 * len(self.validation)

    def take(self, event: Any) -> None:
        """Record an event of the job."""
        match event:
            case Step():
                self._add(event)
            case Validation():
                self.validation.append([event.step, _finite(event.loss)])
                if event.best:
                    self.best, self.kept = (event.step, event.loss), False
            case Sample():
                self.samples.append(self._sample(event))
            case Problem():
                self.problem = f"Step {event.step:,}: {event.message}"

    def _add(self, event: Any) -> None:
        gigabytes = event.memory_bytes / 1e9
        self._rows.extend(
            (
                event.step,
                event.loss,
                event.learning_rate,
                event.gradient_norm,
                event.tokens_per_second or math.nan,
                gigabytes,
            )
        )
        self.step, self.remaining = event.step, event.remaining_seconds
        if event.tokens_per_second:
            self.seconds_per_step = event.tokens / event.tokens_per_second

    def _sample(self, event: Any) -> dict[str, Any]:
        prompts = [text_of(prompt) for prompt in self.settings["sample_prompts"]]
        asked = text_of(event.prompt)
        place = prompts.index(asked) if asked in prompts else 0
        return {"step": event.step, "prompt": place, "text": event.text[:MAX_SAMPLE]}

    @property
    def now(self) -> Settings:
        """The current figures in a few words."""
        best = self.best and {"step": self.best[0], "loss": self.best[1]}
        return {
            "step": self.step,
            "steps": self.steps,
            "remaining": self.remaining,
            "best": best,
            "kept": self.kept,
            "summary": self.summary,
            "problem": self.problem,
        }

    def delta(self, row: int, mark: int) -> tuple[Settings, bytes]:
        """Return a message with what follows this many steps and validations, and its buffer."""
        message = {
            "type": "points",
            "run": self.number,
            "offset": row,
            "mark": mark,
            "validation": self.validation[mark:],
            "now": self.now,
        }
        return message, self._rows[row * COLUMNS :].tobytes()

    def snapshot(self) -> Settings:
        """Return everything the page draws of this run. Rows are float32, `COLUMNS` per step."""
        return {**self.figures(), **self.now}

    def figures(self) -> Settings:
        """Return only its curves, to draw beside those of another run."""
        return {
            "run": self.number,
            "rows": self._rows.tobytes(),
            "validation": [list(point) for point in self.validation],
        }

    def shown_samples(self) -> Settings:
        """Return its sample completions by prompt."""
        prompts = [text_of(prompt) for prompt in self.settings["sample_prompts"]]
        return {"run": self.number, "prompts": prompts, "items": list(self.samples)}

    @property
    def entry(self) -> Settings:
        """Its line in the list of runs."""
        size = f" · {short_count(self.trained)} trained" if self.trained else ""
        label = f"{summary_of(self.settings)}{size}"
        return {"number": self.number, "label": label, "summary": self.summary}

    @property
    def summary(self) -> str:
        """The outcome in a few words."""
        if self.best is not None:
            return f"best {self.best[1]:.3g} at step {self.best[0]:,}"
        if self.count:
            return f"loss {self._rows[-COLUMNS + 1]:.3g} at step {self.step:,}"
        return "no step yet"


def _finite(value: float) -> float | None:
    """Return the number, or None if JSON cannot hold it."""
    return float(value) if math.isfinite(value) else None
