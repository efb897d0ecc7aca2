"""Several short sequences in one row, so that little of it is padding."""

from __future__ import annotations

import bisect
import heapq
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
    lefts: list[int] = []  # how many positions rows have left, ascending, each number once
    waiting: dict[int, list[int]] = {}  # the rows that have so many left, as a heap
    for place, size in enumerate(sizes):
        at = bisect.bisect_left(lefts, size)
        if at == len(lefts):
            left, row = capacity, len(rows)
            rows.append([])
        else:
            left = lefts[at]
            row = heapq.heappop(waiting[left])
            if not waiting[left]:
                del waiting[left], lefts[at]
        rows[row].append(place)
        if left == size:
            continue
        if left - size not in waiting:
            bisect.insort(lefts, left - size)
        heapq.heappush(waiting.setdefault(left - size, []), row)
    return rows
