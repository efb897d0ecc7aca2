"""Panels for notebooks: views of jobs, each of them driven by hand or from Python."""

from .browse import BrowsePanel, browse
from .generate import GeneratePanel, generate
from .listen import ListenPanel, listen
from .look import LookPanel, look
from .tune import TunePanel, tune

__all__ = [
    "BrowsePanel",
    "GeneratePanel",
    "ListenPanel",
    "LookPanel",
    "TunePanel",
    "browse",
    "generate",
    "listen",
    "look",
    "tune",
]
