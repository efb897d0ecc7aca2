"""Detects a run that has diverged, and composes its error."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from workbench.backbones.adapter import Adapter
from workbench.errors import TrainingDiverged
from workbench.tuning.feed import Feed
from workbench.tuning.settings import TuneSettings

TIMES_THE_FIRST = 4
AND_NATS = 10
LARGEST_NUMBER = 1e4  # of an adapter; trained ones stay below ten

Cause = Literal["batch", "step", "earlier"]


def exploded_above(first: float) -> float:
    """Return the loss that stops a run whose first step had the loss `first`: four times that, plus
    ten nats. A uniform guess among 50,000 tokens costs 10.8 nats, so a batch of unusual text stays
    below the limit, and diverged weights exceed it."""
    return TIMES_THE_FIRST * first + AND_NATS


def is_sound(loss: float, gradient_norm: float, first: float) -> bool:
    """Return whether the run may go on after a step with this loss and gradient norm."""
    finite = math.isfinite(loss) and math.isfinite(gradient_norm)
    return finite and not (math.isfinite(first) and loss > exploded_above(first))


def largest_number(adapter: Adapter) -> float:
    """Return the largest magnitude in an adapter; infinity if it contains a NaN."""
    parts = [np.asarray(part) for update in adapter.updates.values() for part in update[:2]]
    largest = max(float(np.max(np.abs(part), initial=0.0)) for part in parts)
    return largest if math.isfinite(largest) else math.inf


def diverged(
    feed: Feed | None,
    settings: TuneSettings,
    step: int,
    loss: float,
    examples: tuple[int, ...],
    found: str,
    cause: Cause,
    kept: int,
) -> TrainingDiverged:
    """Return the error of a diverged run.

    Args:
        feed: names the examples; None for held-out examples.
        settings: the run's settings.
        step: the step that diverged, from 1.
        loss: the loss of that step.
        examples: the indices of the batch's examples.
        found: the expected and the found value.
        cause: whether the batch, this step or an earlier step is at fault.
        kept: the step whose adapter is now in place.
    """
    where = "held-out examples" if feed is None else "examples"
    shown = [str(i) if feed is None else feed.name(i) for i in examples[:8]]
    more = f" and {len(examples) - 8} more" if len(examples) > 8 else ""
    rate, norm = settings.learning_rate, settings.clip_norm
    slower = (
        f"lower learning_rate (now {rate:g}, try {rate / 10:g}), lengthen warmup_steps, or set "
        f"clip_norm (now {norm})"
    )
    advice = {
        "batch": "The weights before this step are sound, so look at these examples first",
        "step": f"The step was too long: {slower}",
        "earlier": f"An earlier step had made the weights useless: {slower}",
    }
    return TrainingDiverged(
        f"training: step {step}: {found}, on {where} {', '.join(shown)}{more}. {advice[cause]}. "
        f"The adapter of step {kept} is in place.",
        step=step,
        loss=loss,
        examples=examples,
    )
