"""Selects the files of a hub's listing that a preset needs.

Listings come from strangers: only known names are fetched, and a listing with a path outside its
    folder is refused as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from workbench.errors import PresetError
from workbench.storage.files import CHECKSUMS, CONFIG
from workbench.storage.json_files import shown
from workbench.storage.paths import plain_name


@dataclass(frozen=True)
class ListedFile:
    """A file as a hub lists it.

    Attributes:
        name: its path in the repository, with slashes.
        size: bytes; 0 if the hub does not state it.
        sha256: in hexadecimal; None if the hub does not state it.
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
    CHECKSUMS,
)
"""Patterns of a preset's files other than its weights."""

_WEIGHTS = re.compile(
    r"(model|task|model_[0-9]+)\.weights\.h5|model(-[0-9]+-of-[0-9]+)?\.safetensors"
)
_SHARD = re.compile(r"model(_[0-9]+\.weights\.h5|-[0-9]+-of-[0-9]+\.safetensors)")
_WHOLE = ("model.weights.h5", "model.safetensors")
_OTHER_WEIGHTS = re.compile(r".*\.(bin|pt|pth|ckpt|pkl|msgpack|h5|onnx|gguf|ot|safetensors)")
_PART = re.compile(r"(.+)-[0-9]+-of-([0-9]{5})(\.gguf|\.safetensors)")
_GGUF = "A GGUF file is loaded by its name: hf://owner/repository/file.gguf"
_PICKLES = (
    "Pickled weights are never read, because loading them can run code. A branch may hold the "
    "model in safetensors: hf://owner/repository@branch"
)
_DRIVE = re.compile(r"[A-Za-z]:")


def choose(listing: Iterable[ListedFile], where: str, weights: bool = True) -> list[ListedFile]:
    """Return the files of a preset in KerasHub's or Transformers' layout, small ones first.

    Args:
        listing: the repository's files.
        where: its handle, for messages.
        weights: whether to include weights; all other files are always included.

    Raises:
        PresetError: a name leads out of the folder, the listing has no preset, or its weights are
            missing or in an unsupported format.
    """
    files = _by_name(listing, where)
    chosen = [files[name] for name in files if any(fnmatchcase(name, small) for small in SMALL)]
    if CONFIG not in files:
        advice = f". {_GGUF}" if _has_gguf(files) else ""
        raise PresetError(f"{where}: expected a preset with {CONFIG}, found {_some(files)}{advice}")
    if weights:
        chosen += _weights(files, where)
    for file in chosen:
        for part in file.name.split("/"):
            plain_name(part, where)
    return chosen


def choose_file(listing: Iterable[ListedFile], where: str, name: str) -> list[ListedFile]:
    """Return the file of this name, with the other parts if it is split.

    Raises:
        PresetError: the listing lacks one of them.
    """
    files = _by_name(listing, where)
    return [files[part] for part in _parts(plain_name(name, where), files, where)]


def _parts(name: str, files: Mapping[str, ListedFile], where: str) -> list[str]:
    """Return the name and those of the other parts; all must be in the listing."""
    match = _PART.fullmatch(name)
    names = [name]
    if match is not None:
        stem, count, kind = match.groups()
        names = [f"{stem}-{part:05}-of-{count}{kind}" for part in range(1, int(count) + 1)]
    missing = next((part for part in names if part not in files), None)
    if missing is not None:
        some = _some(files)
        raise PresetError(f"{where}: the repository holds no {shown(missing)}, only {some}")
    return names


def _weights(files: Mapping[str, ListedFile], where: str) -> list[ListedFile]:
    names = [name for name in files if _WEIGHTS.fullmatch(name)]
    if any(name in _WHOLE for name in names):
        names = [name for name in names if not _SHARD.fullmatch(name)]
    for name in {_PART.sub(r"\1-00001-of-\2\3", name) for name in names}:
        _parts(name, files, where)
    if any(name != "task.weights.h5" for name in names):
        return [files[name] for name in names]
    others = [name for name in files if _OTHER_WEIGHTS.fullmatch(name)]
    if not others:
        raise PresetError(f"{where}: the repository holds no weights, only {_some(files)}")
    raise PresetError(
        f"{where}: expected weights in model.safetensors or model.weights.h5, found "
        f"{_some(others)}. {_GGUF if _has_gguf(others) else _PICKLES}"
    )


def _has_gguf(names: Iterable[str]) -> bool:
    return any(name.endswith(".gguf") for name in names)


def _by_name(listing: Iterable[ListedFile], where: str) -> dict[str, ListedFile]:
    return {file.name: file for file in (_inside(listed, where) for listed in listing)}


def _inside(file: ListedFile, where: str) -> ListedFile:
    """Return the file, after a check that its name stays inside its folder on every system."""
    name = file.name
    parts = name.split("/") if isinstance(name, str) else [""]
    if not all(parts) or {".", ".."} & set(parts) or re.search(r"[\\\0]", name) or _drive(name):
        raise PresetError.at(where, "file name", "a path inside the repository", shown(name))
    return file


def _drive(name: str) -> bool:
    return _DRIVE.match(name) is not None


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(shown(name)[1:-1] for name in names[:5]) or "nothing") + more
