"""Exports the table of a comparison as text to copy, or to a file beside the notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import SettingError
from workbench.jobs.comparison_table import Row, csv_of, markdown_of

from ..shared.paths import page_path


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A way to write the table: its label, file ending and function."""

    label: str
    suffix: str
    write: Callable[[Sequence[Row]], str]


FORMATS = {
    "csv": TableFormat("CSV", ".csv", csv_of),
    "markdown": TableFormat("Markdown", ".md", markdown_of),
}


def format_of(name: object) -> TableFormat:
    """Return the format with that name, or raise a SettingError."""
    if not isinstance(name, str) or name not in FORMATS:
        raise SettingError(f"format must be one of {', '.join(FORMATS)}, got {str(name)[:80]!r}")
    return FORMATS[name]


def free_name(suffix: str) -> str:
    """Return a free name for a file beside the notebook."""
    numbered = (f"comparison-{number}{suffix}" for number in range(2, 10_000))
    names = (f"comparison{suffix}", *numbered)
    return next(name for name in names if not Path(name).exists())


def table_path(path: object, form: TableFormat) -> Path:
    """Return a path from the page, if it is new, in the notebook's folder, with the right ending.

    Raises:
        SettingError: It is elsewhere, has another ending, or already exists.
    """
    named = page_path(path)
    if named.suffix != form.suffix:
        raise SettingError(f"{form.label}: expected a name that ends in {form.suffix}, got {named}")
    return named
