"""The preset browser: find a preset, load it, and open the panel that fits it."""

from .panel import BrowsePanel, browse

__all__ = ["BrowsePanel", "browse"]
