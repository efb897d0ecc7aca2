"""Reads records from files: JSON Lines, JSON, tables with a header, and plain text."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from stat import S_ISREG
from typing import Any

from workbench.errors import DataError
from workbench.storage.json_files import shown
from workbench.tables import is_guarded, unguarded

Found = Iterator[tuple[str, Any]]
"""The place of each record in the file, such as "line 3", and the record."""


def records_of_file(path: str | Path) -> Iterator[tuple[str, Any]]:
    """Yield the records of a file, in its order, each with its file and line.

    `.jsonl` has a JSON value on each line; `.json` a list of them, or an object of columns; `.csv`
    and `.tsv` a header that names the columns; `.txt` texts with blank lines between them. Files
    are UTF-8, with or without a byte order mark. In tables that a comparison has written, the
    apostrophes that keep spreadsheets from evaluating texts are removed.

    Raises:
        DataError: the file is missing, empty, of another kind, not UTF-8, or malformed; the message
            names the line.
    """
    path = Path(path)
    read = _KINDS.get(path.suffix.lower())
    if read is None:
        raise DataError(
            f"{str(path)[:300]}: expected a file ending in {', '.join(_KINDS)}, got "
            f"{path.suffix[:20] or 'none'}. "
            "Other data goes in as a list of records."
        )
    empty = True
    for place, record in read(path, _text(path)):
        empty = False
        yield f"{path.name}, {place}", record
    if empty:
        raise DataError(f"{path}: expected at least one record, got an empty file")


def _text(path: Path) -> str:
    data = _bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: expected UTF-8, got byte 0x{data[error.start]:02x}. Save the "
            "file as UTF-8."
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        regular = S_ISREG(path.stat().st_mode)
        data = path.read_bytes() if regular else b""  # reading a pipe would block
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file. A text to learn goes into a list of texts."
        ) from None
    except (OSError, ValueError) as error:  # an impossible file name raises ValueError
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read: {reason}") from error
    if not regular:
        raise DataError(f"{path}: expected a regular file, got a folder, a pipe or a device")
    return data


def _json_lines(path: Path, text: str) -> Found:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", _parsed(path, line, number)


def _json(path: Path, text: str) -> Found:
    if not text.strip():
        return
    values = _parsed(path, text, 1)
    if isinstance(values, Mapping):
        yield "columns", values
        return
    if not isinstance(values, list):
        raise DataError(
            f"{path}: expected a list of records or an object of columns, got "
            f"{type(values).__name__}"
        )
    for number, value in enumerate(values):
        yield f"record {number}", value


def _parsed(path: Path, text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {line + error.lineno - 1}, column {error.colno}: expected JSON: "
            f"{error.msg}"
        ) from error
    except RecursionError:
        raise DataError(f"{path}, line {line}: nested too deep") from None
    except ValueError as error:  # a number with more digits than Python reads
        raise DataError(f"{path}, line {line}: expected JSON: {error}") from None


def _table(delimiter: str) -> Callable[[Path, str], Found]:
    def rows(path: Path, text: str) -> Found:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            header = next(lines, [])
            _check_header(path, header)
            made = unguarded if is_guarded(header) else str
            start = lines.line_num + 1
            for values in lines:
                if values:
                    yield f"line {start}", _row(path, start, header, list(map(made, values)))
                start = lines.line_num + 1
        except csv.Error as error:
            raise DataError(f"{path}, line {lines.line_num}: {error}") from error

    return rows


def _check_header(path: Path, header: list[str]) -> None:
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise DataError(f"{path}, line 1: expected different names, got {shown(twice)} twice")


def _row(path: Path, line: int, header: list[str], values: list[str]) -> dict[str, str]:
    if len(values) != len(header):
        raise DataError(
            f"{path}, line {line}: expected {len(header)} values, as the header has names, got "
            f"{len(values)}"
        )
    return dict(zip(header, values, strict=True))


def _paragraphs(path: Path, text: str) -> Found:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for blank, numbered in groupby(enumerate(lines, 1), lambda pair: not pair[1].strip()):
        if not blank:
            found = list(numbered)
            yield f"line {found[0][0]}", "\n".join(line for _, line in found)


_KINDS: dict[str, Callable[[Path, str], Found]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".txt": _paragraphs,
}
