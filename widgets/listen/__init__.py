"""The listen panel: transcribes recordings."""

from .panel import ListenPanel, listen

__all__ = ["ListenPanel", "listen"]
