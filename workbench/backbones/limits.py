"""The largest sizes of a configuration, and the checks of its numbers."""

from __future__ import annotations

from workbench.kinds import NOTHING, POSITIVE, RATE, integer

# Far above any published model, far below what exhausts memory while being built.
MAX_LAYERS = 1_000
MAX_SIZE = 2**24
MAX_HEADS = 2**16
MAX_EXPERTS = 2**12
MAX_PARAMETERS = 2**41
SIZE_OR_NONE = integer(1, MAX_SIZE) | NOTHING


def check_size(owner: str, name: str, value: object, most: int = MAX_SIZE) -> None:
    """Refuse anything but an integer from 1 to `most`."""
    integer(1, most).check(f"{owner}: {name}", value)


def check_positive(owner: str, name: str, value: object) -> None:
    """Refuse anything but a finite number above zero."""
    POSITIVE.check(f"{owner}: {name}", value)


def check_rate(owner: str, name: str, value: object) -> None:
    """Refuse anything but a number in [0, 1)."""
    RATE.check(f"{owner}: {name}", value)
