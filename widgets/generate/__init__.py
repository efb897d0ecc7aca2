"""The generate panel: completes prompts or chats with a model."""

from .panel import GeneratePanel, generate

__all__ = ["GeneratePanel", "generate"]
