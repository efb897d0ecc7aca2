"""What comes every so many steps of a run, and after its last one."""

from __future__ import annotations


def is_due(every: int, step: int, steps: int) -> bool:
    """Whether it comes after this step of `steps`; never where `every` is 0."""
    return every > 0 and (step % every == 0 or step == steps)


def times_left(every: int, step: int, steps: int) -> int:
    """How often it comes after this step of `steps`."""
    if every == 0 or step == steps:
        return 0
    return steps // every - step // every + (steps % every > 0)
