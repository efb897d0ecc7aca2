"""Several short sequences in one row, so that little of it is padding."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from workbench.errors import SettingError


def packed(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Rows of places in `sizes`, whose sizes add up to `capacity` at most.

    Each goes, in the order given, where it leaves the least room (best fit), and into a new row
    where it fits into none. Rows stand in the order in which they were begun. The work grows as
    n log n.

    Raises:
        SettingError: a size is above the capacity.
    """
    if max(sizes, default=0) > capacity:
        raise SettingError(
            f"packing: expected sequences of at most {capacity} positions, got {max(sizes)}"
        )
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (positions left, row), sorted
    for place, size in enumerate(sizes):
        at = bisect.bisect_left(room, (size, 0))
        left, row = room.pop(at) if at < len(room) else (capacity, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(place)
        if left > size:
            bisect.insort(room, (left - size, row))
    return rows
