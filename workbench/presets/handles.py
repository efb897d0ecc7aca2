"""Resolves a preset handle to a folder, which is downloaded from a hub if it is not cached.

Only handles of a hub import its library and use the network.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from workbench.errors import PresetError
from workbench.presets import embedded
from workbench.presets.catalog import PresetInfo, classifiers, find, presets
from workbench.storage.atomic import surviving
from workbench.storage.files import CONFIG, METADATA
from workbench.storage.json_files import read_json, shown
from workbench.storage.paths import has_file, preset_file

EMBEDDED = Path(embedded.__file__).parent

_BUILT_IN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def resolve(handle: str | Path, weights: bool = True) -> Path:
    """Return the folder or the `.gguf` file of a preset, downloaded if necessary.

    Downloads stay in the cache of the hub's library, which other programs share, and are found
    there without a network. `workbench.storage.progress` reports the download and can stop it; the
    next attempt continues it. Only the files of a preset are fetched: configs, tokenizers, chat
    templates, and weights in safetensors or HDF5; no pickles, no code.

    Args:
        handle: one of

            - the name of a built-in preset; those outside the package come from Kaggle. For a
              folder of the same name, write `./name` or a `Path`.
            - `kaggle://owner/model/framework/variation`, with `/version` for an older version.
            - `hf://owner/repository` in KerasHub's or Transformers' layout, with `@revision` for a
              branch, tag or commit other than main, and `/file.gguf` for one file.
            - the path of a folder in KerasHub's or Transformers' layout, or of a `.gguf` file.
        weights: False skips the download of the weights.

    Raises:
        PresetError: there is no such preset, access is denied (the message says how to get it), its
            hub cannot be reached and it is not cached, or the disk is too full.
        LoadCancelled: the listener of the progress stopped the download.
    """
    if not isinstance(handle, str | Path) or not str(handle):
        raise PresetError.at("preset", "handle", "a name or the path of a folder", shown(handle))
    text = str(handle)
    if isinstance(handle, Path):
        return _local_folder(Path(os.path.expanduser(handle)), text)
    if "://" in text:
        return _from_hub(text, weights)
    if text in _built_in():
        return EMBEDDED / text
    listed = find(text)
    if listed is not None:
        return _from_hub(_hub_handle(listed), weights)
    return _local_folder(Path(os.path.expanduser(text)), text)


def _from_hub(handle: str, weights: bool) -> Path:
    scheme = handle.partition("://")[0]
    if scheme == "kaggle":
        from workbench.presets.hubs.kaggle import fetch
    elif scheme == "hf":
        from workbench.presets.hubs.hugging_face import fetch
    else:
        raise PresetError.at("preset", shown(handle), "kaggle://... or hf://...", shown(scheme))
    return fetch(handle, weights)


def _hub_handle(preset: PresetInfo) -> str:
    if not preset.supported:
        raise PresetError(
            f"{preset.name}: this version has no models of the family {preset.family}"
        )
    handle = preset.kaggle or preset.hugging_face
    if handle is None:
        raise PresetError(f"{preset.name}: no hub is known to hold this preset")
    return handle


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
    if path.suffix == ".gguf":
        raise PresetError(f"{shown(text)}: no such file")
    names = ", ".join(_built_in()) or "none"
    if _BUILT_IN_NAME.fullmatch(text):
        raise PresetError(
            f"{shown(text)}: no built-in preset of this name (there are: {names}, and those on "
            "the hubs that workbench.presets() lists) and no folder"
        )
    raise PresetError(f"{shown(text)}: no such folder")


def list_presets(owner: type | None = None) -> dict[str, dict[str, Any]]:
    """Return the presets that can be loaded by name, in KerasHub's form: name to `{"metadata":
    {...}, "kaggle_handle": ...}`, with None as the handle of an embedded one.

    The metadata has at least `description`, `params`, `family`, `backbone` and `path`.

    Args:
        owner: only presets that this class or a subclass of it loads; None for all.
    """
    found = {
        name: {"metadata": _metadata(EMBEDDED / name), "kaggle_handle": None}
        for name in _built_in()
    }
    hubs = (p for p in (*presets(), *classifiers()) if p.supported and not p.embedded)
    found |= {p.name: _listing(p) for p in hubs}
    if owner is None:
        return found
    return {name: preset for name, preset in found.items() if _loads(owner, preset)}


def _listing(preset: PresetInfo) -> dict[str, Any]:
    metadata = {
        "description": preset.description,
        "params": preset.parameters,
        "family": preset.family,
        "backbone": preset.backbone,
        "path": preset.backbone.removesuffix("Backbone").lower(),
    }
    return {"metadata": metadata, "kaggle_handle": preset.kaggle}


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
        "path": backbone.removesuffix("Backbone").lower(),
        **saved,
    }


def _loads(owner: type, preset: dict[str, Any]) -> bool:
    from workbench.families.registry import find_class

    found = find_class(preset["metadata"]["backbone"])
    return found is not None and any(issubclass(cls, owner) for cls in found[0].classes)
