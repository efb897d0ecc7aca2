"""What a training run tells, as it happens: typed, frozen records.

A step's number counts the steps that are finished: step 0 is the model before training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.jobs.job import JobState

__all__ = ["Event", "JobState", "Moment", "Problem", "Sample", "Saved", "Step", "Validation"]


@dataclass(frozen=True, slots=True)
class Step:
    """A step is finished.

    Attributes:
        step: from 1.
        loss: mean cross-entropy in nats per learnt token of the step's batches, before the step.
        learning_rate: that was used.
        gradient_norm: Euclidean, over all trained numbers, before clipping.
        tokens: learnt ones in the step's batches.
        tokens_per_second: the mean of the last steps; None while only compiling steps are known.
        memory_bytes: what the process has in memory, or the model's accelerator.
        remaining_seconds: until the last step, validations and samples included; None as above.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    tokens_per_second: float | None
    memory_bytes: int
    remaining_seconds: float | None


@dataclass(frozen=True, slots=True)
class Validation:
    """The held-out loss after a step, in nats per learnt token; `best`: the lowest so far."""

    step: int
    loss: float
    best: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """What the model makes of a prompt after a step: the completion, without the prompt."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint has been written."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """Something failed that the run can do without: a checkpoint could not be written or read, or
    a sample could not be made."""

    step: int
    message: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Nothing has happened, but the run may be left here. `compiling`: a program is about to be
    compiled. Jobs keep these to themselves."""

    compiling: bool = False


Event = Step | Validation | Sample | Saved | Problem
