"""The checkpoints of a run: folders `step_00000120`, written atomically.

`state.safetensors` holds the arrays, `checkpoint.json` everything else, and `SHA256SUMS` the
digests of both, in the format of `sha256sum -c`. A folder keeps the last two checkpoints, so if one
is damaged, the run uses the other. This module replaces and removes only these files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from workbench.errors import CheckpointError, PresetError, WorkbenchError
from workbench.presets.folders.manifest import as_table
from workbench.storage.atomic import replacing, sweep
from workbench.storage.json_files import parse_json, shown
from workbench.storage.lock import locked
from workbench.storage.paths import has_file, preset_file
from workbench.tuning.checkpoint_content import Checkpoint, decoded, encoded

TABLE = "checkpoint.json"
ARRAYS = "state.safetensors"
DIGESTS = "SHA256SUMS"
FILES = (ARRAYS, TABLE, DIGESTS)  # removed in this order: the digests mark a folder as ours
LOCK = ".checkpoints.lock"
KEPT = 2
MAX_TABLE = 64 * 2**20

_STEP = re.compile(r"step_([0-9]{8,10})")
_KILLED = re.compile(r"\.(step_[0-9]{8,10})\.saving")  # the record of a save that was killed


class Checkpoints:
    """The checkpoints in one folder, of one run."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(os.path.expanduser(folder))
        self._whole: set[int] = set()  # steps whose checkpoints this object has written or read

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, the last one first.

        Raises:
            CheckpointError: the folder cannot be read.
        """
        found = (_STEP.fullmatch(path.name) for path in self._content())
        return sorted({int(match[1]) for match in found if match}, reverse=True)

    def check_unused(self) -> None:
        """Refuse a folder that holds a run.

        Raises:
            CheckpointError: there are checkpoints, or the folder cannot be read.
        """
        steps = self.steps()
        if steps:
            raise CheckpointError(
                f"{self.folder}: expected a folder without checkpoints, got one with those of a "
                f"run at step {steps[0]}: TrainingJob.resume_from goes on with it"
            )

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep other runs out of the folder while the block runs.

        Raises:
            CheckpointError: another run writes there, or the folder cannot be made.
        """
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.folder / LOCK))
            except PresetError:
                raise CheckpointError(
                    f"{self.folder}: another run keeps its checkpoints here: choose another folder"
                ) from None
            except (OSError, ValueError) as error:
                raise self._unusable(error) from None
            yield

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and remove surplus ones; the folder must be reserved.

        Raises:
            PresetError: it could not be written; the earlier ones are unchanged.
        """
        table, arrays = encoded(checkpoint)
        said = json.dumps(table, allow_nan=False).encode()
        files = {ARRAYS: safetensors.numpy.save(arrays), TABLE: said}
        files[DIGESTS] = _digests(files)
        path = self._path(checkpoint.step)
        with replacing(path, sum(map(len, files.values()))) as new:
            for name, data in files.items():
                (new / name).write_bytes(data)
        self._whole.add(checkpoint.step)
        with suppress(CheckpointError):  # surplus ones stay if the folder cannot be listed
            self._sweep(checkpoint.step)
        return path

    def latest(self) -> tuple[Checkpoint, list[str]]:
        """Return the last undamaged checkpoint, and the problems of later ones.

        Raises:
            CheckpointError: there is none.
        """
        problems: list[str] = []
        for step in self.steps():
            try:
                return self.read(step), problems
            except CheckpointError as error:
                problems.append(str(error))
        if problems:
            raise CheckpointError(f"{self.folder}: no checkpoint is whole: {'; '.join(problems)}")
        raise CheckpointError(f"{self.folder}: there is no checkpoint in this folder")

    def read(self, step: int) -> Checkpoint:
        """Return the checkpoint of a step.

        Raises:
            CheckpointError: it is missing, damaged, or of another format.
        """
        path = self._path(step)
        try:
            files = _read(path)
            checkpoint = decoded(parse_json(files[TABLE], TABLE), _arrays(files[ARRAYS]))
            if checkpoint.step != step:
                raise CheckpointError(f"step: expected {step}, got {checkpoint.step}")
        except (WorkbenchError, OSError) as error:
            raise CheckpointError(f"{path}: the checkpoint is damaged: {error}") from None
        self._whole.add(step)
        return checkpoint

    def drop_after(self, step: int) -> None:
        """Remove the checkpoints of later steps, which must not be used."""
        with suppress(CheckpointError):
            for later in self._written():
                if later > step:
                    _remove(self._path(later))

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:08}"

    def _content(self) -> list[Path]:
        try:
            return list(self.folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, ValueError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> CheckpointError:
        """Turn an error into a `CheckpointError`; an impossible file name is a ValueError."""
        reason = getattr(error, "strerror", None) or shown(str(error))
        return CheckpointError(f"{ascii(str(self.folder))[:300]}: {reason}")

    def _written(self) -> list[int]:
        """Return the steps whose folders hold digests, which mark them as written by this class."""
        return [step for step in self.steps() if os.path.lexists(self._path(step) / DIGESTS)]

    def _sweep(self, step: int) -> None:
        """Remove the checkpoints up to this step, except the last undamaged ones, and the leftovers
        of killed runs. A later checkpoint is damaged; the run replaces it at that step."""
        kept = sorted(each for each in self._whole if each <= step)[-KEPT:]
        for each in self._written():
            if each <= step and each not in kept:
                _remove(self._path(each))
        for found in (_KILLED.fullmatch(path.name) for path in self._content()):
            if found:
                sweep(self.folder / found[1])


def _remove(folder: Path) -> None:
    """Remove our files from a folder, and the folder if it is then empty."""
    if folder.is_symlink():
        return  # a link to a folder that is not ours
    for name in FILES:
        _unlink(folder / name)
    with suppress(OSError):
        folder.rmdir()


def _unlink(file: Path) -> None:
    with suppress(OSError):  # a file that stays only takes disk space
        file.unlink()


def _digests(files: Mapping[str, bytes]) -> bytes:
    return as_table({name: hashlib.sha256(files[name]).hexdigest() for name in (ARRAYS, TABLE)})


def _read(path: Path) -> dict[str, bytes]:
    """Read the files of a checkpoint and check their digests."""
    if has_file(path, TABLE) and not has_file(path, DIGESTS):
        raise CheckpointError(
            f"{DIGESTS}: no such file, and without it damage cannot be told. Earlier versions of "
            "workbench wrote none: go on with the one that began the run, or begin it anew"
        )
    files = {name: _bytes(preset_file(path, name)) for name in FILES}
    found = _digests(files)
    if found != files[DIGESTS]:
        stated = files[DIGESTS].splitlines()
        pairs = zip(sorted((ARRAYS, TABLE)), found.splitlines(), strict=True)
        changed = [name for name, line in pairs if line not in stated] or [DIGESTS]
        raise CheckpointError(f"{', '.join(changed)}: another SHA-256 than {DIGESTS} states")
    return files


def _bytes(file: Path) -> bytes:
    size = file.stat().st_size
    if size > MAX_TABLE and file.name != ARRAYS:
        raise CheckpointError(f"{file.name}: expected at most {MAX_TABLE} bytes, got {size}")
    return file.read_bytes()


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{ARRAYS}: {shown(str(error))}") from None
