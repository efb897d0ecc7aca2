"""Digests of every file that was saved into a folder, so that no flipped bit goes unseen.

They stand in a file beside, `workbench.sha256`, as the program `sha256sum` writes and checks them:

    sha256sum --check workbench.sha256

Other programs pass it over. Folders that other programs saved have none and load without this
check. The names in it are also what the next save knows as files of this project.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from workbench.errors import PresetError
from workbench.presets.files import CHECKSUMS, METADATA
from workbench.presets.json_files import first, read_json, shown
from workbench.presets.paths import has_file, plain_name, preset_file

KEY = "sha256"
"""Where `metadata.json` held the digests of the weights before there was a file for all."""

_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_WEIGHTS = (".h5", ".safetensors")
_MAX_BYTES = 2**20


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder, in hexadecimal, by its path with slashes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def write_table(folder: Path, table: str, digests: Mapping[str, str]) -> None:
    """Write digests, by path, as the file `table` of a folder."""
    lines = (f"{digests[name]}  {name}\n" for name in sorted(digests))
    (folder / table).write_text("".join(lines), encoding="utf-8", newline="\n")


def read_table(folder: Path, table: str = CHECKSUMS) -> dict[str, str]:
    """The digests a folder states, by path; nothing where it states none.

    Raises:
        PresetError: the table is damaged, or names a file outside the folder.
    """
    if has_file(folder, table):
        return _parsed(preset_file(folder, table))
    return _from_metadata(folder) if table == CHECKSUMS else {}


def _parsed(path: Path) -> dict[str, str]:
    """Every flipped bit makes a line that is none, or one that the files do not fit."""
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
    if not has_file(folder, METADATA):
        return {}
    stated: Any = read_json(preset_file(folder, METADATA)).get(KEY, {})
    if not isinstance(stated, dict) or not all(isinstance(v, str) for v in stated.values()):
        raise PresetError.at(METADATA, KEY, "an object of checksums", shown(stated))
    return {plain_name(name, METADATA): value for name, value in stated.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Manifest:
    """The digests a folder states. Weights are hashed in the background while they load.

    Args:
        folder: read for its table; a GGUF file has none.
        table: the name of the table.
    """

    def __init__(self, folder: Path, table: str = CHECKSUMS) -> None:
        self._folder = folder
        self._table = table
        self._stated = read_table(folder, table) if folder.is_dir() else {}
        self._found: dict[str, Future[str]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._stated

    def __bool__(self) -> bool:
        return bool(self._stated)

    def check(self) -> None:
        """Compare all files but the weights. Raises PresetError when some were changed."""
        small = [name for name in self._stated if not name.endswith(_WEIGHTS)]
        self._compare({name: _sha256(self._file(name)) for name in small})

    def start(self) -> None:
        """Begin hashing the weights, in one thread beside the loading one."""
        if self._found:
            return
        pool = ThreadPoolExecutor(max_workers=1)
        for name in self._stated:
            if name.endswith(_WEIGHTS):
                self._found[name] = pool.submit(_sha256, self._file(name))
        pool.shutdown(wait=False)

    def finish(self) -> None:
        """Wait for the weights' digests and compare. Raises PresetError when some were changed."""
        self._compare({name: digest.result() for name, digest in self._found.items()})

    def _file(self, name: str) -> Path:
        return preset_file(self._folder, *name.split("/"))

    def _compare(self, found: Mapping[str, str]) -> None:
        wrong = [name for name, digest in found.items() if digest != self._stated[name]]
        if wrong:
            table = self._table if has_file(self._folder, self._table) else METADATA
            raise PresetError(
                f"{first(wrong)}: sha256: expected what {table} says, got another: damaged, or "
                "changed after it was saved. Copy it or save it again; if the change is wanted, "
                f"delete the line of the file in {table}"
            )
