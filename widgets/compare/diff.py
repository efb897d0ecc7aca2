"""Finds where texts differ, in the same way as diff.js on the page."""

from __future__ import annotations

from collections.abc import Sequence

MOST_PAIRS = 2**24  # of compared units; beyond it, everything between the equal ends differs


def common_units(reference: Sequence[str], units: Sequence[str]) -> list[bool]:
    """Return for each unit whether it is in the longest common subsequence with the reference.

    Equal ends are found in linear time. The middle is compared unit by unit if that takes at most
    `MOST_PAIRS` pairs, which limits the work for long and repetitive texts.
    """
    most = min(len(reference), len(units))
    start = _equal(zip(reference, units, strict=False), most)
    end = _equal(zip(reversed(reference), reversed(units), strict=False), most - start)
    inner = units[start : len(units) - end]
    kept = _longest_common(reference[start : len(reference) - end], inner)
    return [True] * start + kept + [True] * end


def _equal(pairs: zip[tuple[str, str]], most: int) -> int:
    """Return how many of the first pairs are equal, at most `most`."""
    count = 0
    for a, b in pairs:
        if count == most or a != b:
            break
        count += 1
    return count


def _longest_common(a: Sequence[str], b: Sequence[str]) -> list[bool]:
    """Return the same for texts without equal ends, walking back from the last units."""
    kept = [False] * len(b)
    if len(a) * len(b) > MOST_PAIRS:
        return kept
    rows = _rows(a, b)
    i, j = len(a), len(b)
    while i and j:
        if not _longer(rows[i], j - 1):
            j -= 1
        elif _longer(rows[i - 1], j - 1):
            i -= 1
        else:  # not without a's unit: the two are equal
            kept[j - 1] = True
            i, j = i - 1, j - 1
    return kept


def _longer(row: bytes, place: int) -> bool:
    """Return whether b's unit makes the common subsequence longer."""
    return not row[place >> 3] >> (place & 7) & 1


def _rows(a: Sequence[str], b: Sequence[str]) -> list[bytes]:
    """Return Hyyrö's bit rows ("Bit-parallel LCS-length computation revisited", 2004): bit j of row
    i is 0 if b's unit j makes the common subsequence with a's first i units longer by one."""
    places, size = _places(a, b), len(b) // 8 + 1
    row = every = (1 << len(b)) - 1
    rows = [row.to_bytes(size, "little")]
    for unit in a:
        matches = row & places[unit]
        row = (row + matches | row - matches) & every
        rows.append(row.to_bytes(size, "little"))
    return rows


def _places(a: Sequence[str], b: Sequence[str]) -> dict[str, int]:
    """Return the places of each unit of a in b, as bits."""
    places = {unit: bytearray(len(b) // 8 + 1) for unit in a}
    for place, unit in enumerate(b):
        if unit in places:
            places[unit][place >> 3] |= 1 << (place & 7)
    return {unit: int.from_bytes(bits, "little") for unit, bits in places.items()}
