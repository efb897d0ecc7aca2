"""Checksums of weight files, kept in metadata.json, so that a flipped bit does not go unseen.

HDF5 as Keras writes it has no checksums. Presets saved by other programs have none either and
load without this check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, BinaryIO

from workbench.errors import PresetError
from workbench.kinds import TEXT, integer, list_of
from workbench.presets.files import METADATA
from workbench.presets.json_files import MAX_CONFIG, read_json, shown
from workbench.presets.paths import has_file, plain_name, preset_file
from workbench.presets.progress import INTERVAL, check
from workbench.workers import Stop, in_background

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
    return _checksums(files, Stop())


def _checksums(files: Iterable[Path], stop: Stop) -> dict[str, str]:
    return {path.name: _sha256(path, stop) for path in files}


def _sha256(path: Path, stop: Stop) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(_Stoppable(file, stop), "sha256").hexdigest()


class _Stoppable:
    """A file that checks, before each chunk is read, whether to go on."""

    def __init__(self, file: BinaryIO, stop: Stop) -> None:
        self._file, self._stop = file, stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        self._stop.check()
        return self._file.readinto(buffer)


class Manifest:
    """The checksums a preset states. `start` hashes in the background while weights load."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stated = _read(folder)
        self._found: Future[dict[str, str]] | None = None
        self._stop = Stop()

    def start(self) -> None:
        """Begin hashing, in one thread beside the loading one."""
        if self._stated:
            paths = [preset_file(self._folder, name) for name in self._stated]
            self._found = in_background(lambda: _checksums(paths, self._stop), "checksums")

    def stop(self) -> None:
        """Give up what is not hashed yet."""
        self._stop.set()

    def finish(self) -> None:
        """Wait for the checksums and compare. Raises PresetError when a file was changed."""
        if self._found is None:
            return
        while not wait([self._found], INTERVAL).done:
            check()
        for name, found in self._found.result().items():
            if found != self._stated[name]:
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
