"""A Jupyter-first workbench for causal language models.

Names are imported when they are first used, so that `import workbench` is quick.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from workbench import ports
from workbench.version import __version__ as __version__

_MODULES = ("errors", "models", "presets", "samplers", "tokenizers", "tuning", "widgets")
_NAMES = {
    "Alternative": "workbench.generation.events",
    "Chat": "workbench.tasks.chat",
    "Column": "workbench.jobs.comparison",
    "ComparisonJob": "workbench.jobs.comparison",
    "Done": "workbench.generation.events",
    "GenerationJob": "workbench.jobs.generation",
    "Stats": "workbench.generation.events",
    "Status": "workbench.generation.events",
    "Token": "workbench.generation.events",
    "TrainingJob": "workbench.tuning.job",
    "browse": "workbench.widgets",
    "compare": "workbench.widgets",
    "estimate": "workbench.presets.estimates",
    "generate": "workbench.widgets",
    "inspect": "workbench.widgets",
    "listen": "workbench.widgets",
    "look": "workbench.widgets",
    "tune": "workbench.widgets",
}

__all__ = sorted((*_MODULES, *_NAMES, "__version__"))


def _choose_backend() -> None:
    """Set Keras's backend to JAX; Keras reads it only once, when it is imported."""
    keras = sys.modules.get("keras")
    if keras is not None and keras.config.backend() != "jax":
        raise ImportError(
            f"workbench needs Keras on JAX, but Keras was imported with "
            f"{keras.config.backend()!r}. Import workbench first, or set KERAS_BACKEND=jax, and "
            "restart the kernel."
        )
    os.environ["KERAS_BACKEND"] = "jax"


_choose_backend()
ports.bind(store="workbench.presets.store", drawing="workbench.tree.model")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"workbench.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"workbench has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
