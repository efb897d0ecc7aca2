"""Panels for notebooks: views of jobs, each of them driven by hand or from Python."""

from .generate import GeneratePanel, generate

__all__ = ["GeneratePanel", "generate"]
