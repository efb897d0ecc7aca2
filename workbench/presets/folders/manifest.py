"""Digests of every file saved into a folder, to detect any flipped bit.

They are in the file `workbench.sha256` of the folder, in the format of the program `sha256sum`:

    sha256sum --check workbench.sha256

Other programs ignore it. Folders that other programs saved have no such file and load without this
check. The next save uses its names to recognise the files of this project.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from workbench.errors import PresetError
from workbench.kinds import TEXT, integer, list_of
from workbench.storage.files import CHECKSUMS, METADATA
from workbench.storage.json_files import MAX_CONFIG, first, read_json, shown
from workbench.storage.paths import has_file, plain_name, preset_file
from workbench.storage.progress import INTERVAL, check
from workbench.workers import Stop, in_background

KEY = "sha256"
"""The key of the weights' digests in `metadata.json` in versions without a file for all digests."""
KINDS = {
    "date_saved": TEXT,
    "keras_hub_version": TEXT,
    "keras_version": TEXT,
    "parameter_count": integer(0, 2**63),
    "tasks": list_of(TEXT),
}
"""The other keys that KerasHub writes there."""

_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_WEIGHTS = (".h5", ".safetensors")
_MAX_BYTES = 2**20


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder, in hexadecimal, by its path with slashes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def write_table(folder: Path, table: str, digests: Mapping[str, str]) -> None:
    """Write digests, by path, as the file `table` of a folder."""
    (folder / table).write_bytes(as_table(digests))


def as_table(digests: Mapping[str, str]) -> bytes:
    """Return the content of a table of digests by path."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def read_table(folder: Path, table: str = CHECKSUMS) -> dict[str, str]:
    """Return the digests that a folder states, by path; empty if it states none.

    Raises:
        PresetError: the table is damaged, or names a file outside the folder.
    """
    if has_file(folder, table):
        return _parsed(preset_file(folder, table))
    return _from_metadata(folder) if table == CHECKSUMS else {}


def _parsed(path: Path) -> dict[str, str]:
    """Parse a table: every flipped bit gives an invalid line or one that does not match the
    files."""
    if path.stat().st_size > _MAX_BYTES:
        raise PresetError.at(path.name, "size", f"at most {_MAX_BYTES} bytes", "more")
    *lines, rest = path.read_bytes().decode("utf-8", "replace").split("\n")
    found = [_LINE.fullmatch(line) for line in lines]
    digests = {match[2]: match[1] for match in found if match}
    if rest or len(digests) < len(lines):
        got = shown(next((line for line in [*lines, rest] if not _LINE.fullmatch(line)), "twice"))
        raise PresetError.at(path.name, "line", "a SHA-256, two spaces, a file named once", got)
    for name in digests:
        for part in name.split("/"):
            plain_name(part, path.name)
    return digests


def _from_metadata(folder: Path) -> dict[str, str]:
    stated = _metadata(folder).get(KEY, {})
    if not isinstance(stated, dict) or not all(isinstance(v, str) for v in stated.values()):
        raise PresetError.at(METADATA, KEY, "an object of checksums", shown(stated))
    return {plain_name(name, METADATA): value for name, value in stated.items()}


def _metadata(folder: Path) -> dict[str, Any]:
    if not has_file(folder, METADATA):
        return {}
    metadata = read_json(preset_file(folder, METADATA), MAX_CONFIG)
    for key in metadata.keys() & KINDS.keys():
        KINDS[key].check(f"{METADATA}: {key}", metadata[key], PresetError)
    return metadata


def _sha256(path: Path, stop: Stop | None = None) -> str:
    with path.open("rb") as file:
        data = file if stop is None else _Stoppable(file, stop)
        return hashlib.file_digest(data, "sha256").hexdigest()


class _Stoppable:
    """A file that checks before each read whether to go on."""

    def __init__(self, file: BufferedReader, stop: Stop) -> None:
        self._file, self._stop = file, stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        self._stop.check()
        return self._file.readinto(buffer)


class Manifest:
    """The digests that a folder states. Weights are hashed in the background while they load.

    Args:
        folder: the folder with the table; a GGUF file has none.
        table: the name of the table.
    """

    def __init__(self, folder: Path, table: str = CHECKSUMS) -> None:
        self._folder = folder
        self._table = table
        self._stated = read_table(folder, table) if folder.is_dir() else {}
        self._found: Future[dict[str, str | None]] | None = None
        self._stop = Stop()

    def __contains__(self, name: str) -> bool:
        return name in self._stated

    def __bool__(self) -> bool:
        return bool(self._stated)

    def check(self) -> None:
        """Compare all files except the weights, and check the preset's metadata.

        Raises:
            PresetError: some files were changed, or a value has the wrong type.
        """
        if self._table == CHECKSUMS and self._folder.is_dir():
            _metadata(self._folder)
        small = [name for name in self._stated if not name.endswith(_WEIGHTS)]
        self._compare(self._digests(small))

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Hash the weights in a thread while the block reads them, and compare at its end.

        Raises:
            PresetError: some files were changed.
        """
        self._start()
        try:
            yield
            self._finish()
        finally:
            self._stop.set()

    def _start(self) -> None:
        weights = [name for name in self._stated if name.endswith(_WEIGHTS)]
        if weights and self._found is None:
            self._found = in_background(lambda: self._digests(weights), "checksums")

    def _finish(self) -> None:
        if self._found is None:
            return
        while not wait([self._found], INTERVAL).done:
            check()
        self._compare(self._found.result())

    def _digests(self, names: list[str]) -> dict[str, str | None]:
        return {name: self._digest(name.split("/")) for name in names}

    def _digest(self, parts: list[str]) -> str | None:
        """Return the digest of a file, or None if there is no such file."""
        if not has_file(self._folder, *parts):
            return None
        return _sha256(preset_file(self._folder, *parts), self._stop)

    def _compare(self, found: Mapping[str, str | None]) -> None:
        wrong = [name for name, digest in found.items() if digest != self._stated[name]]
        if wrong:
            table = self._table if has_file(self._folder, self._table) else METADATA
            raise PresetError(
                f"{first(wrong)}: sha256: expected what {table} says, got another or no such "
                "file: damaged, changed or removed after it was saved. Copy it or save it again; "
                f"if the change is wanted, delete the line of the file in {table}"
            )
