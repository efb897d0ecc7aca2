"""The compare panel: several models or settings complete the same prompts side by side."""

from .panel import ComparePanel, compare

__all__ = ["ComparePanel", "compare"]
