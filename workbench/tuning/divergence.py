"""When a run has gone wrong beyond repair, and what to say about it."""

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
    """The loss that stops a run whose first step had the loss `first`: four times that, and ten
    nats more. A uniform guess among 50,000 tokens costs 10.8 nats: single batches of strange text
    stay below, weights that were thrown far away do not."""
    return TIMES_THE_FIRST * first + AND_NATS


def is_sound(loss: float, gradient_norm: float, first: float) -> bool:
    """Whether the run may go on after a step of this loss and gradient norm."""
    finite = math.isfinite(loss) and math.isfinite(gradient_norm)
    return finite and not (math.isfinite(first) and loss > exploded_above(first))


def largest_number(adapter: Adapter) -> float:
    """The largest magnitude in an adapter; infinite where one of its numbers is none."""
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
    """The error of a run that stops.

    Args:
        feed: names the examples; None where they are held-out ones.
        settings: of the run.
        step: that met it, from 1.
        loss: of that step.
        examples: of the batch.
        found: what was expected and what was found.
        cause: whether the batch is at fault, this step or an earlier one.
        kept: the step whose adapter is in place now.
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
