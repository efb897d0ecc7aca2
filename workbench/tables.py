"""Writes CSV in which spreadsheets take no text for a formula.

A text that begins with a sign of formulas gets an apostrophe in front, as OWASP advises against
"CSV injection". Every text is quoted, so that no other delimiter cuts a formula out of it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COMPARISON = ("prompt", "column", "text", "tokens", "tokens_per_second", "mean_logprob", "reason")

# The pattern includes apostrophes before the sign, so that different texts give different cells.
_FORMULA = re.compile(r"'*+[=+\-@\t\r\n＝＋－＠]")


def csv_of(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV with a header (RFC 4180). Numbers stay numbers; texts are guarded."""
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, fields, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({name: _cell(row[name]) for name in fields} for row in rows)
    return lines.getvalue()


def is_guarded(header: Sequence[str]) -> bool:
    """Return whether this package wrote a table with these names. In other tables an apostrophe
    belongs to the text, as in `'-'.join(words)`."""
    return tuple(header) == COMPARISON


def guarded(text: str) -> str:
    """Return the text as a cell that no spreadsheet computes."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text from which `guarded` made the cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _cell(value: object) -> object:
    return guarded(value) if isinstance(value, str) else value
