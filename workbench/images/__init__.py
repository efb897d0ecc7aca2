"""Pictures: reading them, preparing them for a model, and drawing what a model found in them."""

from workbench.images.converter import ImageConverter
from workbench.images.preprocessor_config import (
    converter_from_transformers,
    transformers_from_converter,
)
from workbench.images.reading import ImageSource, open_image, pixels

__all__ = [
    "ImageConverter",
    "ImageSource",
    "converter_from_transformers",
    "open_image",
    "pixels",
    "transformers_from_converter",
]
