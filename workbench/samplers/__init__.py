"""Samplers pick the next token: `get("top_k")`, `TopPSampler(p=0.9)`, or a subclass of your own.

Names are imported when they are first used, so that `workbench.samplers.settings`, the table of
settings, can be read without JAX and Keras. The package imports `workbench.errors` and
`workbench.kinds`, and nothing else of the workbench.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.samplers.beam import BeamSampler
    from workbench.samplers.contrastive import ContrastiveSampler
    from workbench.samplers.drawing import GreedySampler, RandomSampler, TopKSampler, TopPSampler
    from workbench.samplers.history import History
    from workbench.samplers.registry import deserialize, get, serialize
    from workbench.samplers.sampler import Sampler
    from workbench.samplers.step_settings import StepSettings

_MODULES = {
    "beam": ("BeamSampler",),
    "contrastive": ("ContrastiveSampler",),
    "drawing": ("GreedySampler", "RandomSampler", "TopKSampler", "TopPSampler"),
    "history": ("History",),
    "registry": ("deserialize", "get", "serialize"),
    "sampler": ("Sampler",),
    "step_settings": ("StepSettings",),
}

__all__ = [
    "BeamSampler",
    "ContrastiveSampler",
    "GreedySampler",
    "History",
    "RandomSampler",
    "Sampler",
    "StepSettings",
    "TopKSampler",
    "TopPSampler",
    "deserialize",
    "get",
    "serialize",
]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"workbench.samplers.{module}"), name)
    raise AttributeError(f"workbench.samplers has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
