"""What a preset handle names: a folder. Nothing here opens a network connection."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from workbench.errors import PresetError
from workbench.presets import embedded
from workbench.presets.atomic import surviving
from workbench.presets.files import CONFIG, METADATA
from workbench.presets.json_files import read_json, shown
from workbench.presets.paths import has_file, preset_file

EMBEDDED = Path(embedded.__file__).parent

_BUILT_IN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DOWNLOAD = "Download the folder by other means and pass its path."


def resolve(handle: str | Path) -> Path:
    """The folder of a preset.

    Args:
        handle: the name of a built-in preset, or the path of a folder in KerasHub's or
            Transformers' layout.

    Raises:
        PresetError: there is no such preset, or it is of a kind this version does not load.
    """
    if not isinstance(handle, str | Path) or not str(handle):
        raise PresetError.at("preset", "handle", "a name or the path of a folder", shown(handle))
    text = str(handle)
    if "://" in text:
        scheme = text.partition("://")[0]
        raise PresetError(
            f"{shown(text)}: this version loads no presets from {shown(scheme)}. {_DOWNLOAD}"
        )
    if text in _built_in():
        return EMBEDDED / text
    return _local_folder(Path(text).expanduser(), text)


def _local_folder(path: Path, text: str) -> Path:
    try:
        path = surviving(path)
        if path.is_dir():
            return path
        if path.suffix == ".gguf" and path.is_file():
            return path
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise PresetError.at("preset", shown(text), "a path", type(error).__name__) from None
    if exists:
        raise PresetError.at(
            "preset", shown(text), "the path of a folder or a .gguf file", "another file"
        )
    names = ", ".join(_built_in()) or "none"
    if _BUILT_IN_NAME.fullmatch(text):
        raise PresetError(
            f"{shown(text)}: no built-in preset of this name (there are: {names}) and no folder. "
            f"If it is a preset of KerasHub: {_DOWNLOAD}"
        )
    raise PresetError(f"{shown(text)}: no such folder")


def list_presets(owner: type | None = None) -> dict[str, dict[str, Any]]:
    """The built-in presets: name to `{"metadata": {...}}`.

    The metadata has at least `description`, `params` and `family`.

    Args:
        owner: only those that this class, or a subclass of it, loads; None for all.
    """
    found = {name: {"metadata": _metadata(EMBEDDED / name)} for name in _built_in()}
    if owner is None:
        return found
    return {name: preset for name, preset in found.items() if _loads(owner, preset)}


def _built_in() -> list[str]:
    return sorted(path.parent.name for path in EMBEDDED.glob(f"*/{CONFIG}"))


def _metadata(folder: Path) -> dict[str, Any]:
    saved = read_json(preset_file(folder, METADATA)) if has_file(folder, METADATA) else {}
    backbone = read_json(preset_file(folder, CONFIG)).get("class_name", "")
    return {
        "description": "",
        "params": saved.get("parameter_count", 0),
        "family": backbone.removesuffix("Backbone"),
        "backbone": backbone,
        **saved,
    }


def _loads(owner: type, preset: dict[str, Any]) -> bool:
    from workbench.presets.registry import find_class

    found = find_class(preset["metadata"]["backbone"])
    return found is not None and any(issubclass(cls, owner) for cls in found[0].classes)
