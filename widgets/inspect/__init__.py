"""The inspect panel: a model's distribution at every place of a text."""

from .panel import InspectPanel, inspect

__all__ = ["InspectPanel", "inspect"]
