"""Checksums of weight files, kept in metadata.json, so that a flipped bit does not go unseen.

HDF5 as Keras writes it has no checksums. Presets saved by other programs have none either and
load without this check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from workbench.errors import PresetError
from workbench.kinds import TEXT, integer, list_of
from workbench.presets.files import METADATA
from workbench.presets.json_files import MAX_CONFIG, read_json, shown
from workbench.presets.paths import has_file, plain_name, preset_file

KEY = "sha256"
KINDS = {
    "date_saved": TEXT,
    "keras_hub_version": TEXT,
    "keras_version": TEXT,
    "parameter_count": integer(0, 2**63),
    "tasks": list_of(TEXT),
}
"""What else KerasHub writes there."""


def checksums(files: Iterable[Path]) -> dict[str, str]:
    """File name to SHA-256 in hexadecimal."""
    return {path.name: _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Manifest:
    """The checksums a preset states. `start` hashes in the background while weights load."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stated = _read(folder)
        self._found: dict[str, Future[str]] = {}

    def start(self) -> None:
        """Begin hashing, in one thread beside the loading one."""
        if not self._stated:
            return
        pool = ThreadPoolExecutor(max_workers=1)
        for name in self._stated:
            self._found[name] = pool.submit(_sha256, preset_file(self._folder, name))
        pool.shutdown(wait=False)

    def finish(self) -> None:
        """Wait for the checksums and compare. Raises PresetError when a file was changed."""
        for name, stated in self._stated.items():
            if self._found[name].result() != stated:
                raise PresetError.at(name, "sha256", "the one stated when it was saved", "another")


def _read(folder: Path) -> dict[str, str]:
    if not has_file(folder, METADATA):
        return {}
    metadata = read_json(preset_file(folder, METADATA), MAX_CONFIG)
    for key in metadata.keys() & KINDS.keys():
        KINDS[key].check(f"{METADATA}: {key}", metadata[key], PresetError)
    stated: Any = metadata.get(KEY, {})
    if not isinstance(stated, dict) or not all(isinstance(v, str) for v in stated.values()):
        raise PresetError.at(METADATA, KEY, "an object of checksums", shown(stated))
    return {plain_name(name, METADATA): value for name, value in stated.items()}
