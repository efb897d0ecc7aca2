"""The schedule of validations, samples and checkpoints: every N steps, and after the last one."""

from __future__ import annotations


def is_due(every: int, step: int, steps: int) -> bool:
    """Return whether it is due after this step of `steps`; never if `every` is 0."""
    return every > 0 and (step % every == 0 or step == steps)


def times_left(every: int, step: int, steps: int) -> int:
    """Return how often it is still due after this step of `steps`."""
    if every == 0 or step == steps:
        return 0
    return steps // every - step // every + (steps % every > 0)
