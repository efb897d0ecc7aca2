"""Saves a trained adapter as PEFT or KerasHub files, or merged into a preset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import SettingError

from ..shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Format:
    """A way to save an adapter: its label, default path and function."""

    name: str
    label: str
    about: str
    path: str
    write: Callable[[Any, str, Path], None]


def _save_adapter(lm: Any, name: str, path: Path) -> None:
    lm.adapters.save(path, name)


def _save_preset(lm: Any, name: str, path: Path) -> None:
    with lm.adapters.using(name):
        lm.save_to_preset(str(path))


FORMATS = {
    format.name: format
    for format in (
        Format(
            "peft",
            "PEFT folder",
            "adapter_config.json and adapter_model.safetensors, for PEFT and Transformers too",
            "adapters/{name}",
            _save_adapter,
        ),
        Format(
            "keras_hub",
            "KerasHub .lora.h5",
            "one file, for backbone.load_lora_weights",
            "adapters/{name}.lora.h5",
            _save_adapter,
        ),
        Format(
            "preset",
            "merged preset",
            "the whole model with the adapter in its weights, for from_preset",
            "presets/{name}",
            _save_preset,
        ),
    )
}


def formats_for(name: str) -> list[Settings]:
    """Return the page's formats, each with a free path."""
    return [
        {
            "name": format.name,
            "label": format.label,
            "about": format.about,
            "path": free_path(format.path.format(name=name)),
        }
        for format in FORMATS.values()
    ]


def free_path(path: str) -> str:
    """Return the path, with a number in its name if it already exists."""
    stem, end = (path.removesuffix(".lora.h5"), ".lora.h5" if path.endswith(".lora.h5") else "")
    taken = (f"{stem}-{number}{end}" for number in range(2, 10_000))
    return next(p for p in (path, *taken) if not Path(p).exists())


def format_of(name: object) -> Format:
    """Return the format with that name, or raise a SettingError."""
    if not isinstance(name, str) or name not in FORMATS:
        raise SettingError(f"format must be one of {', '.join(FORMATS)}, got {str(name)[:80]!r}")
    return FORMATS[name]


def check_path(format: Format, path: Path) -> Path:
    """Return the path if its ending fits the format, or raise a SettingError."""
    is_file = path.name.endswith(".lora.h5")
    if (format.name == "keras_hub") != is_file:
        expected = "a name that ends in .lora.h5" if not is_file else "a folder's name"
        raise SettingError(f"{format.label}: expected {expected}, got {path.name!r}")
    return path


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
