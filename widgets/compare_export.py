"""Where the table of a comparison goes: copied as text, or into a file beside the notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import SettingError
from workbench.jobs.comparison_table import Row, csv_of, markdown_of

from .tune_export import page_path


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A way to write the table: its label, the ending of its files, and how."""

    label: str
    suffix: str
    write: Callable[[Sequence[Row]], str]


FORMATS = {
    "csv": TableFormat("CSV", ".csv", csv_of),
    "markdown": TableFormat("Markdown", ".md", markdown_of),
}


def format_of(name: object) -> TableFormat:
    """The format of that name, or a SettingError."""
    if not isinstance(name, str) or name not in FORMATS:
        raise SettingError(f"format must be one of {', '.join(FORMATS)}, got {str(name)[:80]!r}")
    return FORMATS[name]


def free_name(suffix: str) -> str:
    """A name for a file beside the notebook that is not taken."""
    numbered = (f"comparison-{number}{suffix}" for number in range(2, 10_000))
    names = (f"comparison{suffix}", *numbered)
    return next(name for name in names if not Path(name).exists())


def table_path(path: object, form: TableFormat) -> Path:
    """A path the page names: new, inside the folder the notebook works in, with the right ending.

    Raises:
        SettingError: It is elsewhere or of another kind, or there is something already.
    """
    named = page_path(path)
    if named.suffix != form.suffix:
        raise SettingError(f"{form.label}: expected a name that ends in {form.suffix}, got {named}")
    return named
