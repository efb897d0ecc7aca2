"""CSV that spreadsheets show as it is: no cell of text is taken for a formula.

A text that begins with a sign of formulas gets an apostrophe before it, as OWASP advises against
"CSV injection", and every text is quoted, so that no other delimiter cuts a formula out of it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COMPARISON = ("prompt", "column", "text", "tokens", "tokens_per_second", "mean_logprob", "reason")

# Apostrophes before the sign are part of the pattern, so that each text has a form of its own.
_FORMULA = re.compile(r"'*+[=+\-@\t\r\n＝＋－＠]")


def csv_of(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a line of names, by RFC 4180. Numbers stay numbers; texts are guarded."""
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, fields, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({name: _cell(row[name]) for name in fields} for row in rows)
    return lines.getvalue()


def is_guarded(header: Sequence[str]) -> bool:
    """Whether a table with these names is one of ours. In others an apostrophe is the author's
    own, as in `'-'.join(words)`."""
    return tuple(header) == COMPARISON


def guarded(text: str) -> str:
    """The text as a cell that no spreadsheet computes."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` has made the cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _cell(value: object) -> object:
    return guarded(value) if isinstance(value, str) else value
