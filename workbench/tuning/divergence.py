"""When a run has gone wrong beyond repair, and what to say about it."""

from __future__ import annotations

import math

from workbench.errors import TrainingDiverged
from workbench.tuning.feed import Feed
from workbench.tuning.settings import TuneSettings

TIMES_THE_FIRST = 4
AND_NATS = 10


def exploded_above(first: float) -> float:
    """The loss that stops a run whose first step had the loss `first`: four times that, and ten
    nats more. A uniform guess among 50,000 tokens costs 10.8 nats: single batches of strange text
    stay below, weights that were thrown far away do not."""
    return TIMES_THE_FIRST * first + AND_NATS


def is_sound(loss: float, gradient_norm: float, first: float) -> bool:
    """Whether the run may go on after a step of this loss and gradient norm."""
    finite = math.isfinite(loss) and math.isfinite(gradient_norm)
    return finite and not (math.isfinite(first) and loss > exploded_above(first))


def diverged(
    feed: Feed | None,
    settings: TuneSettings,
    step: int,
    loss: float,
    gradient_norm: float | None,
    examples: tuple[int, ...],
    weights_were_sound: bool,
    kept: int,
) -> TrainingDiverged:
    """The error of a run that stops.

    Args:
        feed: names the examples; None where they are held-out ones.
        settings: of the run.
        step: that met it, from 1.
        loss, gradient_norm: of that step; no norm for a validation.
        examples: of the batch.
        weights_were_sound: whether the weights before that step still work on the batch before.
        kept: the step whose adapter is in place now.
    """
    norm = "" if gradient_norm is None else f" and gradient norm {gradient_norm:.4g}"
    where = "held-out examples" if feed is None else "examples"
    shown = [str(i) if feed is None else feed.name(i) for i in examples[:8]]
    more = f" and {len(examples) - 8} more" if len(examples) > 8 else ""
    rate = settings.learning_rate
    advice = (
        "The weights before this step are sound, so look at these examples first"
        if weights_were_sound
        else f"An earlier step had made the weights useless: lower learning_rate (now {rate:g}, "
        f"try {rate / 10:g}), lengthen warmup_steps, or set clip_norm (now {settings.clip_norm})"
    )
    return TrainingDiverged(
        f"training: step {step}: expected a finite loss near or below the first one, got loss "
        f"{loss:.4g}{norm} on {where} {', '.join(shown)}{more}. {advice}. The adapter of step "
        f"{kept} is in place.",
        step=step,
        loss=loss,
        examples=examples,
    )
