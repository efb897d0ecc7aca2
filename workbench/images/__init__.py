"""Pictures: reading them, preparing them for a model, and drawing what a model found in them."""

from workbench.images.converter import ImageConverter
from workbench.images.reading import open_image, pixels

__all__ = ["ImageConverter", "open_image", "pixels"]
