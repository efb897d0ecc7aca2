"""The results of a comparison as a table: plain rows, CSV and Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench import tables
from workbench.jobs.column import Result
from workbench.storage.atomic import replacing_file

Row = dict[str, Any]
FIELDS = tables.COMPARISON
NUMBERS = frozenset({"tokens", "tokens_per_second", "mean_logprob"})
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$#])")


def row_of(result: Result) -> Row:
    """One result as a row with the names of `FIELDS`: `tokens` is their number, `mean_logprob` in
    nats, None without a token; `reason` is "stop", "length", "cancelled", "error: ..." or empty
    while it is under way."""
    mean = result.mean_logprob
    return {
        "prompt": result.prompt,
        "column": result.title,
        "text": result.text,
        "tokens": len(result.tokens),
        "tokens_per_second": round(result.tokens_per_second, 1),
        "mean_logprob": None if mean is None else round(mean, 4),
        "reason": f"error: {result.error}" if result.error else result.reason or "",
    }


def csv_of(rows: Sequence[Row]) -> str:
    """Rows as CSV with a line of names. A text that a spreadsheet would take for a formula, such
    as "=1+1", has an apostrophe before it, which `read_examples` leaves out."""
    return tables.csv_of(FIELDS, rows)


def write_table(path: str | Path, text: str) -> None:
    """Write a table to a file, which is replaced as a whole.

    Raises:
        PresetError: it cannot be written; what was there before is unchanged.
    """
    with replacing_file(path, len(text)) as new:
        # Half of a surrogate pair, which a prompt may hold, has no UTF-8.
        new.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def markdown_of(rows: Sequence[Row]) -> str:
    """Rows as a table of Markdown; nothing in a text is taken for markup."""
    rules = ["---:" if name in NUMBERS else "---" for name in FIELDS]
    lines = [FIELDS, rules, *([_cell(row[name]) for name in FIELDS] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    text = "" if value is None else str(value).strip()
    escaped = _MARKUP.sub(r"\\\1", text)
    return "<br>".join(escaped.splitlines())
