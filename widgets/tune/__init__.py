"""The tune panel: LoRA adapters trained and watched."""

from .panel import TunePanel, tune

__all__ = ["TunePanel", "tune"]
