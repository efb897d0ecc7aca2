"""The checkpoints of a run: folders `step_00000120`, each written whole or not at all.

`state.safetensors` holds the arrays, `checkpoint.json` everything else and the digest of the
arrays. The last two checkpoints are kept: should one be damaged, the other is used.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from workbench.errors import CheckpointError, PresetError, WorkbenchError
from workbench.presets.atomic import replacing
from workbench.presets.json_files import read_json, shown
from workbench.presets.lock import locked
from workbench.presets.paths import preset_file
from workbench.tuning.checkpoint_content import Checkpoint, decoded, encoded

TABLE = "checkpoint.json"
ARRAYS = "state.safetensors"
LOCK = ".lock"
KEPT = 2
MAX_TABLE = 64 * 2**20

_STEP = re.compile(r"step_([0-9]{8,10})")


class Checkpoints:
    """The checkpoints in one folder, of one run."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).expanduser()

    def steps(self) -> list[int]:
        """The steps there are checkpoints of, the last one first."""
        if not self.folder.is_dir():
            return []
        found = (_STEP.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted((int(match[1]) for match in found if match), reverse=True)

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
            except OSError as error:
                raise CheckpointError(f"{self.folder}: {error.strerror or error}") from None
            yield

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and remove those that are too many; the folder is reserved.

        Raises:
            PresetError: it could not be written; the earlier ones are unchanged.
        """
        table, arrays = encoded(checkpoint)
        data = safetensors.numpy.save(arrays)
        table |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        said = json.dumps(table, allow_nan=False).encode()
        path = self._path(checkpoint.step)
        with replacing(path, len(data) + len(said)) as new:
            (new / ARRAYS).write_bytes(data)
            (new / TABLE).write_bytes(said)
        self._sweep()
        return path

    def latest(self) -> tuple[Checkpoint, list[str]]:
        """The last checkpoint that is whole, and what is wrong with later ones.

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
        """The checkpoint of a step.

        Raises:
            CheckpointError: it is missing, damaged, or of another format.
        """
        path = self._path(step)
        try:
            table = read_json(preset_file(path, TABLE), MAX_TABLE)
            checkpoint = decoded(table, _arrays(path, table))
            if checkpoint.step != step:
                raise CheckpointError(f"step: expected {step}, got {checkpoint.step}")
            return checkpoint
        except (WorkbenchError, OSError) as error:
            raise CheckpointError(f"{path}: the checkpoint is damaged: {error}") from None

    def drop_after(self, step: int) -> None:
        """Remove the checkpoints of later steps: what they hold is not to be used."""
        for later in self.steps():
            if later > step:
                _remove(self._path(later))

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:08}"

    def _sweep(self) -> None:
        """Remove the older checkpoints, and what killed runs have left."""
        for step in self.steps()[KEPT:]:
            _remove(self._path(step))
        for leftover in self.folder.glob(".step_*"):
            _remove(leftover)


def _remove(path: Path) -> None:
    with suppress(OSError):  # a file that stays costs nothing but its place
        if not path.is_dir():
            path.unlink()
            return
        (path / TABLE).unlink(missing_ok=True)  # without it nobody takes it for a checkpoint
        shutil.rmtree(path)


def _arrays(path: Path, table: dict[str, Any]) -> dict[str, np.ndarray]:
    file = preset_file(path, ARRAYS)
    size = file.stat().st_size
    if size != table.get("bytes"):
        raise CheckpointError(f"{ARRAYS}: expected {shown(table.get('bytes'))} bytes, got {size}")
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != table.get("sha256"):
        raise CheckpointError(f"{ARRAYS}: expected the SHA-256 that {TABLE} names, got {digest}")
    try:
        return safetensors.numpy.load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{ARRAYS}: {shown(str(error))}") from None
