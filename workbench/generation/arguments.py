"""Arguments that the calls of tasks and preprocessors share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from workbench.kinds import NOTHING, integer
from workbench.samplers import Sampler

StopIds = Literal["auto"] | None | Sequence[int]
AnySampler = str | Sampler | dict[str, Any]
# One number for generate() and stream(), so that both run the same compiled programs.
DEFAULT_ALTERNATIVES = 5
_LENGTH = integer(1, 2**31 - 2) | NOTHING  # one more token still fits int32


def length_or(usual: int, *asked: int | None) -> int:
    """Return the first length in `asked` that is not None, or else the usual one.

    Raises:
        SettingError: a length is not a whole number from 1 to 2**31 - 2.
    """
    for length in asked:
        _LENGTH.check("sequence_length", length)
    return next((int(length) for length in asked if length is not None), usual)
