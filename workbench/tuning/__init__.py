"""Fine-tuning: adapters, training data, and training as a job.

Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "Adapter": "workbench.backbones.adapter",
    "AdapterConfig": "workbench.backbones.adapter",
    "Batch": "workbench.data.batches",
    "Batches": "workbench.data.batches",
    "Best": "workbench.tuning.history",
    "Example": "workbench.data.examples",
    "Examples": "workbench.data.examples",
    "History": "workbench.tuning.history",
    "Problem": "workbench.tuning.events",
    "Sample": "workbench.tuning.events",
    "Saved": "workbench.tuning.events",
    "Step": "workbench.tuning.events",
    "Trainer": "workbench.tuning.trainer",
    "TrainingJob": "workbench.tuning.job",
    "TuneSettings": "workbench.tuning.settings",
    "Validation": "workbench.tuning.events",
    "read_examples": "workbench.data.reading",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"workbench.tuning has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
