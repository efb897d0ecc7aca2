"""Kinds of what is given to a call. NumPy's numbers are numbers here: no file can hold one."""

from __future__ import annotations

import math

import numpy as np

from workbench.kinds import Kind

TRUTH = Kind("True or False", lambda value: isinstance(value, bool | np.bool_))


def whole(least: int, most: float = math.inf) -> Kind:
    """Integers of a range, from `least` on where it has no end. A truth value is none."""
    span = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
    return Kind(f"an integer {span}", lambda value: _is_integer(value) and least <= value <= most)


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
