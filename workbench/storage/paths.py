"""Keeps every path that a preset names inside the preset."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from workbench.errors import PresetError
from workbench.storage.json_files import shown

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ +=@-]*")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def plain_name(name: object, where: str) -> str:
    """Return `name` if it is a file name on every system: no separators, drives, devices or only
    dots.

    Raises:
        PresetError: it is not one; `where` says which file and key named it.
    """
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= 255
        or not _PLAIN.fullmatch(name)
        or _DEVICE.fullmatch(name)
        or name[-1] in ". "
    ):
        raise PresetError.at(where, "file name", "the name of a file in the preset", shown(name))
    return name


def preset_file(folder: Path, *parts: str) -> Path:
    """Return the regular file at `folder/parts...`, with links resolved.

    A link may only lead to a file of the same preset, or of the same repository if the folder is a
    snapshot in a Hugging Face cache.

    Raises:
        PresetError: there is no such file, it is not a regular file, or it is elsewhere.
    """
    path = folder.joinpath(*(plain_name(part, str(folder)) for part in parts))
    name = "/".join(parts)
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except FileNotFoundError:
        raise PresetError(f"{folder}: {name}: no such file") from None
    except (OSError, RuntimeError) as error:
        raise PresetError.at(folder, name, "a readable file", type(error).__name__) from None
    if not any(real.is_relative_to(root) for root in _roots(folder)):
        raise PresetError.at(folder, name, "a file inside the preset", "a link leading outside")
    if not stat.S_ISREG(mode):
        raise PresetError.at(folder, name, "a regular file", "another kind of file")
    return path


def has_file(folder: Path, *parts: str) -> bool:
    """Return whether `folder/parts...` exists, even as a broken link."""
    path = folder.joinpath(*parts)
    return path.exists() or path.is_symlink()


def _roots(folder: Path) -> tuple[Path, ...]:
    """Return the folders to which a preset's links may lead: a hub cache keeps the data next to its
    snapshots, and data that several repositories share in one common place."""
    real = folder.resolve()
    snapshots, repository = real.parent, real.parent.parent
    in_cache = snapshots.name == "snapshots" and repository.name.startswith("models--")
    return (repository, repository.parent / "blobs") if in_cache else (real,)
