"""The store of presets that models ask (`workbench.ports`): each question has its function here."""

from __future__ import annotations

from pathlib import Path

from workbench.backbones.adapter import Adapter
from workbench.backbones.backbone import Backbone
from workbench.presets.adapters.keras_hub_lora import read_lora, write_lora
from workbench.presets.adapters.peft import read_peft, write_peft
from workbench.presets.export import export_to_transformers
from workbench.presets.handles import list_presets
from workbench.presets.load import (
    load_backbone,
    load_image_converter,
    load_preprocessor,
    load_task,
    load_tokenizer,
)
from workbench.presets.save import save_preset

__all__ = [
    "export_to_transformers",
    "list_presets",
    "load_backbone",
    "load_image_converter",
    "load_preprocessor",
    "load_task",
    "load_tokenizer",
    "read_adapter",
    "save_preset",
    "write_adapter",
]
KERAS_HUB = ".lora.h5"  # the end of the names of KerasHub's files; any other name is a PEFT folder


def read_adapter(path: Path, backbone: Backbone) -> Adapter:
    """The adapter in a file of KerasHub's `save_lora_weights`, or in a PEFT folder.

    Raises:
        AdapterError: it is damaged, or fits another model.
    """
    read = read_lora if path.name.endswith(KERAS_HUB) else read_peft
    return read(path, backbone)


def write_adapter(adapter: Adapter, path: str | Path, backbone: Backbone) -> None:
    """Write an adapter in the format that the name asks for, all or nothing.

    Raises:
        AdapterError: the format cannot hold it.
        PresetError: the file or folder cannot be written.
    """
    write = write_lora if str(path).endswith(KERAS_HUB) else write_peft
    write(adapter, path, backbone)
