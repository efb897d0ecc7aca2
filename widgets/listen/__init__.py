"""The listen panel: recordings in, what was said out."""

from .panel import ListenPanel, listen

__all__ = ["ListenPanel", "listen"]
