"""The look panel: questions about pictures."""

from .panel import LookPanel, look

__all__ = ["LookPanel", "look"]
