"""Reads JSON from untrusted files: bounded in size and depth, no duplicate keys, no NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any

from workbench.errors import PresetError, shown

MAX_CONFIG = 2**20
MAX_BYTES = 16 * 2**20
MAX_DEPTH = 64
MAX_PUNCTUATION = 2_000_000
"""The most commas, colons and brackets; the header of a file with 100,000 tensors has 1.5 million.
The values between them take up to 130 MB."""


def first(problems: Iterable[str], limit: int = 20) -> str:
    """Return the first problems, one per line, and the number of the others."""
    problems = list(problems)
    more = [f"... and {len(problems) - limit} more"] if len(problems) > limit else []
    return "\n".join([*problems[:limit], *more])


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        PresetError: the file is larger than `max_bytes`, not UTF-8, not JSON, nested deeper than
            64 levels, or holds more than two million commas, colons and brackets, a duplicate key,
            a NaN or an infinite number.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise PresetError.at(path.name, "file size", f"at most {max_bytes} bytes", size)
    return parse_json(path.read_bytes(), path.name)


def parse_json(data: bytes, file: str) -> dict[str, Any]:
    """Return the JSON object in `data`; `file` names it in errors. Raises as `read_json` does."""
    if sum(map(data.count, (b",", b":", b"[", b"]", b"{", b"}"))) > MAX_PUNCTUATION:
        expected = f"at most {MAX_PUNCTUATION} commas, colons and brackets"
        raise PresetError.at(file, "content", expected, "more")
    if _depth(data) > MAX_DEPTH:
        raise PresetError.at(file, "nesting", f"at most {MAX_DEPTH} levels", "more")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except PresetError as error:
        raise PresetError(f"{file}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise PresetError.at(file, "content", "UTF-8 JSON", shown(str(error))) from None
    if not isinstance(value, dict):
        raise PresetError.at(file, "content", "a JSON object", type(value).__name__)
    return value


def _depth(data: bytes) -> int:
    """Return the nesting depth of brackets, before the recursive parser starts.

    Two quotes without a bracket between them can be dropped, whether they enclose a string or the
    text between two strings; so the number of splits is at most the number of brackets.
    """
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = plain.translate(None, _NO_BRACKETS).replace(b'""', b"")
    outside_strings = b"".join(brackets.split(b'"')[::2])
    return max(accumulate(map(_STEPS.__getitem__, outside_strings)), default=0)


_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - {*_STEPS, ord('"')})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise PresetError(f"{shown(twice)}: the key stands twice in one object")
    return table


def _refuse_constant(name: str) -> float:
    raise PresetError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise PresetError(f"{shown(digits)} is too large a number")
    return number
