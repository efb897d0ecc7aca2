"""Pictures: reading them, preparing them for a model, and drawing what a model found in them.

Names are imported when they are first used: masks and drawing need more than reading does.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "Answer": "answers",
    "ImageConverter": "converter",
    "ImageSource": "reading",
    "MaskDecoder": "masks",
    "Plain": "answers",
    "Region": "answers",
    "converter_from_transformers": "preprocessor_config",
    "draw_answer": "drawing",
    "label_colours": "drawing",
    "load_mask_decoder": "masks",
    "open_image": "reading",
    "pixels": "reading",
    "polygons": "masks",
    "read_answer": "answers",
    "transformers_from_converter": "preprocessor_config",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"workbench.images.{_NAMES[name]}"), name)
    raise AttributeError(f"workbench.images has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
