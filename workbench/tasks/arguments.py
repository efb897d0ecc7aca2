"""What the calls that generate have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from workbench.samplers import Sampler

StopIds = Literal["auto"] | None | Sequence[int]
AnySampler = str | Sampler | dict[str, Any]
# One number for generate() and stream(), so that both run the same compiled programs.
DEFAULT_ALTERNATIVES = 5
