"""Which files of a hub's listing a preset needs.

A listing is written by strangers: only names known here are fetched, and a listing that tries to
lead out of its folder is refused as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from workbench.errors import PresetError
from workbench.presets.files import CONFIG
from workbench.presets.json_files import shown
from workbench.presets.paths import plain_name


@dataclass(frozen=True)
class ListedFile:
    """A file as a hub lists it.

    Attributes:
        name: its path in the repository, with slashes.
        size: bytes, 0 where the hub does not say.
        sha256: in hexadecimal, None where the hub does not say.
    """

    name: str
    size: int = 0
    sha256: str | None = None


_JSON = """
    config metadata task preprocessor tokenizer image_converter audio_converter tokenizer_config
    special_tokens_map added_tokens generation_config preprocessor_config processor_config
    chat_template vocab model.weights model.safetensors.index
"""
SMALL = (
    *(f"{name}.json" for name in _JSON.split()),
    "tokenizer.model",
    "merges.txt",
    "vocab.txt",
    "chat_template.jinja",
    "assets/*/*",
)
"""Patterns of the files of a preset beside its weights."""

_WEIGHTS = re.compile(
    r"(model|task|model_[0-9]+)\.weights\.h5|model(-[0-9]+-of-[0-9]+)?\.safetensors"
)
_SHARD = re.compile(r"model(_[0-9]+\.weights\.h5|-[0-9]+-of-[0-9]+\.safetensors)")
_WHOLE = ("model.weights.h5", "model.safetensors")
_OTHER_WEIGHTS = re.compile(r".*\.(bin|pt|pth|ckpt|pkl|msgpack|h5|onnx|gguf|ot|safetensors)")
_PART = re.compile(r"(.+)-[0-9]{5}-of-([0-9]{5})\.gguf")
_DRIVE = re.compile(r"[A-Za-z]:")


def choose(listing: Iterable[ListedFile], where: str, weights: bool = True) -> list[ListedFile]:
    """The files a preset in KerasHub's or Transformers' layout consists of, small ones first.

    Args:
        listing: the repository's files.
        where: its handle, for messages.
        weights: whether weights are wanted; the files beside them always are.

    Raises:
        PresetError: a name leads out of the folder, or there is no preset in the listing, or one
            without weights in a form that is read here.
    """
    files = list({file.name: _inside(file, where) for file in listing}.values())
    chosen = [file for file in files if any(fnmatchcase(file.name, small) for small in SMALL)]
    if all(file.name != CONFIG for file in chosen):
        raise PresetError(f"{where}: expected a preset with {CONFIG}, found {_some(files)}")
    if weights:
        chosen += _weights(files, where)
    for file in chosen:
        for part in file.name.split("/"):
            plain_name(part, where)
    return chosen


def choose_file(listing: Iterable[ListedFile], where: str, name: str) -> list[ListedFile]:
    """The file of this name, with the others where it is one of several parts.

    Raises:
        PresetError: the listing lacks one of them.
    """
    files = {file.name: _inside(file, where) for file in listing}
    names = _parts(plain_name(name, where))
    missing = next((part for part in names if part not in files), None)
    if missing is not None:
        some = _some(list(files.values()))
        raise PresetError(f"{where}: the repository holds no {shown(missing)}, only {some}")
    return [files[part] for part in names]


def _parts(name: str) -> list[str]:
    match = _PART.fullmatch(name)
    if match is None:
        return [name]
    stem, count = match.groups()
    return [f"{stem}-{part:05}-of-{count}.gguf" for part in range(1, int(count) + 1)]


def _weights(files: list[ListedFile], where: str) -> list[ListedFile]:
    found = [file for file in files if _WEIGHTS.fullmatch(file.name)]
    if any(file.name in _WHOLE for file in found):
        found = [file for file in found if not _SHARD.fullmatch(file.name)]
    if any(file.name != "task.weights.h5" for file in found):
        return found
    others = [file for file in files if _OTHER_WEIGHTS.fullmatch(file.name)]
    if not others:
        raise PresetError(f"{where}: the repository holds no weights, only {_some(files)}")
    raise PresetError(
        f"{where}: expected weights in model.safetensors or model.weights.h5, found "
        f"{_some(others)}. Pickled weights are never read, because loading them can run code; "
        "look for a version of the model in safetensors (a branch may hold one: hf://...@branch)."
    )


def _inside(file: ListedFile, where: str) -> ListedFile:
    """The file, if its name stays inside its folder on every system."""
    name = file.name
    parts = name.split("/") if isinstance(name, str) else [""]
    if not all(parts) or {".", ".."} & set(parts) or re.search(r"[\\\0]", name) or _drive(name):
        raise PresetError.at(where, "file name", "a path inside the repository", shown(name))
    return file


def _drive(name: str) -> bool:
    return _DRIVE.match(name) is not None


def _some(files: list[ListedFile]) -> str:
    names = sorted(file.name for file in files)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(shown(name)[1:-1] for name in names[:5]) or "nothing") + more
