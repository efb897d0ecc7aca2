"""The events of a training run: typed, frozen records.

A step's number is the number of finished steps: step 0 is the model before training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.jobs.job import JobState

__all__ = ["Event", "JobState", "Moment", "Problem", "Sample", "Saved", "Step", "Validation"]


@dataclass(frozen=True, slots=True)
class Step:
    """A finished step.

    Attributes:
        step: from 1.
        loss: mean cross-entropy in nats per learnt token of the step's batches, before the step.
        learning_rate: the step's learning rate.
        gradient_norm: the Euclidean norm over all trained numbers, before clipping.
        tokens: the learnt tokens in the step's batches.
        tokens_per_second: the mean of the last steps; None while all steps had to compile.
        memory_bytes: memory in use by the process, or by the model's accelerator.
        remaining_seconds: time to the last step, with validations and samples; None as above.
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
    """The model's completion of a prompt after a step, without the prompt."""

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
    """A failure that does not stop the run: a checkpoint could not be written or read, or a sample
    could not be generated."""

    step: int
    message: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A point where the run may be left, without news. `compiling`: a program is about to compile.
    Jobs do not report these."""

    compiling: bool = False


Event = Step | Validation | Sample | Saved | Problem
