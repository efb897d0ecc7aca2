"""The compare panel: several models or settings write at once, side by side."""

from .panel import ComparePanel, compare

__all__ = ["ComparePanel", "compare"]
