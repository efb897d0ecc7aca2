"""Checks paths from a page: they are new, and inside the notebook's folder."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import SettingError

from .settings import check_text

MAX_PATH = 400  # characters


def page_path(path: object) -> Path:
    """Return a path from the page, if it is new and inside the notebook's working folder.

    Raises:
        SettingError: It is elsewhere, or already exists.
    """
    text = check_text("path", path)
    if not text.strip() or len(text) > MAX_PATH or "\0" in text:
        raise SettingError("path must be the name of a folder or file beside the notebook")
    here = Path.cwd().resolve()
    whole = (here / text).resolve()
    if Path(text).is_absolute() or not whole.is_relative_to(here) or whole == here:
        raise SettingError(
            f"{text}: expected a path inside the notebook's folder; for others there is "
            "panel.export(path, format)"
        )
    if whole.exists():
        raise SettingError(f"{text}: there is something already; choose another name")
    return Path(text)
