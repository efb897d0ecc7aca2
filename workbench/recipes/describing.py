"""Adds a published preset's description to its `metadata.json`."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.presets.saved_folder import saving
from workbench.storage.files import METADATA
from workbench.storage.json_files import read_json


def describe(preset: Path, **said: str) -> None:
    """Put entries, such as a description, before those that saving has written."""
    content = said | read_json(preset / METADATA)
    text = json.dumps(content, indent=4)
    with saving(preset, len(text), superseded=lambda name: False) as new:
        (new / METADATA).write_text(text, encoding="utf-8")
