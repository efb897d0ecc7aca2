"""The inspect panel: what a model expected at every place of a text."""

from .panel import InspectPanel, inspect

__all__ = ["InspectPanel", "inspect"]
