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
    """Return one result as a row with the names of `FIELDS`. `tokens` is their number;
    `mean_logprob` is in nats, None without a token; `reason` is "stop", "length", "cancelled",
    "error: ..." or, before the end, empty."""
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
    """Return rows as CSV with a header line. A text that a spreadsheet would take for a formula,
    such as "=1+1", gets an apostrophe in front, which `read_examples` removes."""
    return tables.csv_of(FIELDS, rows)


def write_table(path: str | Path, text: str) -> None:
    """Write a table to a file, atomically.

    Raises:
        PresetError: the file cannot be written; an existing one is unchanged.
    """
    with replacing_file(path, len(text)) as new:
        # A prompt may hold half of a surrogate pair, which UTF-8 cannot encode.
        new.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def markdown_of(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table; markup in texts is escaped."""
    rules = ["---:" if name in NUMBERS else "---" for name in FIELDS]
    lines = [FIELDS, rules, *([_cell(row[name]) for name in FIELDS] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    text = "" if value is None else str(value).strip()
    escaped = _MARKUP.sub(r"\\\1", text)
    return "<br>".join(escaped.splitlines())
