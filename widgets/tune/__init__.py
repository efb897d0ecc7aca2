"""The tune panel: train LoRA adapters and watch them learn."""

from .panel import TunePanel, tune

__all__ = ["TunePanel", "tune"]
