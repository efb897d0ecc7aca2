"""Tracks the files of a Kaggle model in kagglehub's cache.

The library marks each complete file. A note next to the folder lists the files of the preset, so
that a copy is used without asking Kaggle, which never changes a version.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from kagglehub.cache import Cache, get_cached_path
from kagglehub.handle import ModelHandle

from workbench.errors import PresetError
from workbench.presets.hubs.selection import ListedFile, choose
from workbench.storage.json_files import read_json


def folder_of(model: ModelHandle) -> Path:
    """Return the folder for the files of a version."""
    return Path(get_cached_path(model))


def partial_file(model: ModelHandle, name: str) -> Path:
    """Return the path at which a file is collected."""
    return _partial_folder(model) / name


def _partial_folder(model: ModelHandle) -> Path:
    return folder_of(model).parent / ".partial" / str(model.version)


def lock_file(model: ModelHandle) -> Path:
    """Return the lock file that is held while files of a version are fetched."""
    return folder_of(model).parent / f".{model.version}.lock"


def has(model: ModelHandle, name: str) -> bool:
    """Return whether a file is there and complete."""
    return Cache().load_from_cache(model, name) is not None


def mark(model: ModelHandle, name: str) -> None:
    """Mark a file as complete."""
    Cache().mark_as_complete(model, name)


def remember(model: ModelHandle, files: Iterable[ListedFile], weights: bool) -> None:
    """Note that these files, all present, form the preset with or without its weights."""
    folder, note = folder_of(model), _note(model)
    sizes = {file.name: (folder / file.name).stat().st_size for file in files}
    new = note.with_suffix(".new")
    new.write_text(json.dumps({"weights": weights, "files": sizes}), encoding="utf-8")
    os.replace(new, note)
    if weights:
        shutil.rmtree(_partial_folder(model), ignore_errors=True)


def remembered(model: ModelHandle, weights: bool) -> Path | None:
    """Return the folder of a version if all noted files are there, otherwise None."""
    folder, note = folder_of(model), _note(model)
    if not note.exists():
        return None
    noted = read_json(note)
    there = all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in noted["files"].items()
    )
    return folder if there and (noted["weights"] or not weights) else None


def found(model: ModelHandle, weights: bool) -> Path | None:
    """Return the folder of the version (or the newest one) that holds a preset, as noted or as
    another program that uses the library left it."""
    return next((path for v in _versions(model) if (path := _usable(v, weights))), None)


def _usable(model: ModelHandle, weights: bool) -> Path | None:
    folder = folder_of(model)
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    whole = Cache().load_from_cache(model) is not None
    complete = [ListedFile(name) for name in paths if whole or has(model, name)]
    try:
        choose(complete, str(model), weights)
    except PresetError:
        return None
    return folder


def _versions(model: ModelHandle) -> list[ModelHandle]:
    if model.is_versioned():
        return [model]
    variation = folder_of(model.with_version(1)).parent
    there = (int(path.name) for path in variation.glob("[0-9]*") if path.name.isdecimal())
    return [model.with_version(version) for version in sorted(there, reverse=True) if version]


def _note(model: ModelHandle) -> Path:
    return folder_of(model).parent / f".{model.version}.preset.json"
