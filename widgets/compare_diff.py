"""Where texts differ that were written side by side, as compare_diff.js tells it on the page."""

from __future__ import annotations

from collections.abc import Sequence

MOST_PAIRS = 2**24  # of units compared; beyond, what stands between the ends differs


def common_units(reference: Sequence[str], units: Sequence[str]) -> list[bool]:
    """For each unit whether it is in the longest common subsequence with the reference.

    Equal ends are found in linear time. What stands between is compared unit by unit as long as
    that is at most `MOST_PAIRS` pairs: however long and repetitive texts are, the work has a limit.
    """
    most = min(len(reference), len(units))
    start = _equal(zip(reference, units, strict=False), most)
    end = _equal(zip(reversed(reference), reversed(units), strict=False), most - start)
    inner = units[start : len(units) - end]
    kept = _longest_common(reference[start : len(reference) - end], inner)
    return [True] * start + kept + [True] * end


def _equal(pairs: zip[tuple[str, str]], most: int) -> int:
    """How many of the first pairs are equal, at most so many."""
    count = 0
    for a, b in pairs:
        if count == most or a != b:
            break
        count += 1
    return count


def _longest_common(a: Sequence[str], b: Sequence[str]) -> list[bool]:
    """The same without equal ends, by Hyyrö's bits ("Bit-parallel LCS-length computation
    revisited", 2004): bit j of row i is 0 where b's unit j makes the common subsequence of the
    first i units of a and the first j + 1 of b longer by one."""
    kept = [False] * len(b)
    if len(a) * len(b) > MOST_PAIRS:
        return kept
    places: dict[str, int] = {}
    for place, unit in enumerate(b):
        places[unit] = places.get(unit, 0) | 1 << place
    every = (1 << len(b)) - 1
    rows = [every]
    for unit in a:
        row, matches = rows[-1], rows[-1] & places.get(unit, 0)
        rows.append((row + matches | row - matches) & every)
    i, j = len(a), len(b)
    while i and j:
        bit = 1 << j - 1
        if rows[i] & bit:  # b's unit j - 1 adds nothing
            j -= 1
        elif rows[i - 1] & bit:  # it does, but not without a's unit i - 1: the two are equal
            kept[j - 1] = True
            i, j = i - 1, j - 1
        else:
            i -= 1
    return kept
