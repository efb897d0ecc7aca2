"""What calls of tasks and preprocessors have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from workbench.kinds import NOTHING, integer
from workbench.samplers import Sampler

StopIds = Literal["auto"] | None | Sequence[int]
AnySampler = str | Sampler | dict[str, Any]
# One number for generate() and stream(), so that both run the same compiled programs.
DEFAULT_ALTERNATIVES = 5
_LENGTH = integer(1, 2**31 - 2) | NOTHING  # with a token more, still an int32


def length_or(usual: int, *asked: int | None) -> int:
    """The first length that a call asks for, else the usual one.

    Raises:
        SettingError: one is no length.
    """
    for length in asked:
        _LENGTH.check("sequence_length", length)
    return next((int(length) for length in asked if length is not None), usual)
