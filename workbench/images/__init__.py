"""Images: read them, prepare them for a model, and draw what a model found in them.

May import `storage` and the floors below it. Names are imported when first used: masks and drawing
import more than reading does.
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

__all__ = sorted(_NAMES)  # pyright: ignore[reportUnsupportedDunderAll]  # names come lazily


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"workbench.images.{_NAMES[name]}"), name)
    raise AttributeError(f"workbench.images has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
