"""The history of a run: its events so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from workbench.backbones.adapter import Adapter
from workbench.tuning.events import Event, Problem, Sample, Step, Validation


@dataclass(frozen=True)
class Best:
    """The adapter after the step whose held-out loss was the lowest."""

    step: int
    loss: float
    adapter: Adapter


@dataclass(repr=False)
class History:
    """The steps, validations, samples and problems of a run, oldest first. The lists only grow,
    so another thread may copy them at any time."""

    steps: list[Step] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = (f"{len(getattr(self, each.name))} {each.name}" for each in fields(self))
        return f"History({', '.join(counts)})"

    def add(self, event: Event) -> None:
        """Add an event, if it is a step, validation, sample or problem."""
        kept = {
            Step: self.steps,
            Validation: self.validations,
            Sample: self.samples,
            Problem: self.problems,
        }
        if type(event) in kept:
            kept[type(event)].append(event)

    def columns(self) -> dict[str, dict[str, list[Any]]]:
        """Return plain lists by kind of event ("steps", "validations", "samples", "problems") and
        field: `columns()["steps"]["loss"]`."""
        kinds = zip(fields(self), (Step, Validation, Sample, Problem), strict=True)
        return {kept.name: columns(getattr(self, kept.name), kind) for kept, kind in kinds}


def columns(events: Sequence[Event], kind: type) -> dict[str, list[Any]]:
    """Return each field of events of one kind as a list."""
    told = list(events)
    return {each.name: [getattr(event, each.name) for event in told] for each in fields(kind)}
