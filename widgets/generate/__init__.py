"""The generate panel: a model writes, or holds a conversation."""

from .panel import GeneratePanel, generate

__all__ = ["GeneratePanel", "generate"]
