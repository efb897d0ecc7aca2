"""The preset store that models use (`workbench.ports`): one function for each request."""

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
KERAS_HUB = ".lora.h5"  # KerasHub's file names end like this; any other name is a PEFT folder


def read_adapter(path: Path, backbone: Backbone) -> Adapter:
    """Read an adapter from a file of KerasHub's `save_lora_weights`, or from a PEFT folder.

    Raises:
        AdapterError: it is damaged, or does not fit the model.
    """
    read = read_lora if path.name.endswith(KERAS_HUB) else read_peft
    return read(path, backbone)


def write_adapter(adapter: Adapter, path: str | Path, backbone: Backbone) -> None:
    """Write an adapter in the format that the name selects; the write is atomic.

    Raises:
        AdapterError: the format cannot hold it.
        PresetError: the file or folder cannot be written.
    """
    write = write_lora if str(path).endswith(KERAS_HUB) else write_peft
    write(adapter, path, backbone)
