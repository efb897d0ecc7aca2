"""Packs several short sequences into one row, for little padding."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Sequence

from workbench.errors import SettingError


def packed(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Return rows of indices into `sizes`; the sizes of a row add up to `capacity` at most.

    In the given order, each size goes into the row where it leaves the least room (best fit), or
    into a new row if none has room. Rows are in the order of their first size. The time is
    O(n log n).

    Raises:
        SettingError: a size is above the capacity.
    """
    if max(sizes, default=0) > capacity:
        raise SettingError(
            f"packing: expected sequences of at most {capacity} positions, got {max(sizes)}"
        )
    rows: list[list[int]] = []
    lefts: list[int] = []  # the numbers of free positions in rows, ascending and unique
    waiting: dict[int, list[int]] = {}  # the rows with this many free positions, as a heap
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
