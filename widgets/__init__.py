"""Panels for notebooks: views of jobs, each of them driven by hand or from Python."""

from .browse import BrowsePanel, browse
from .compare import ComparePanel, compare
from .generate import GeneratePanel, generate
from .inspect import InspectPanel, inspect
from .listen import ListenPanel, listen
from .look import LookPanel, look
from .tune import TunePanel, tune

__all__ = [
    "BrowsePanel",
    "ComparePanel",
    "GeneratePanel",
    "InspectPanel",
    "ListenPanel",
    "LookPanel",
    "TunePanel",
    "browse",
    "compare",
    "generate",
    "inspect",
    "listen",
    "look",
    "tune",
]
