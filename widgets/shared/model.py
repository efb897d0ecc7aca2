"""Checks the model of a panel, and describes it for the heading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import SettingError
from workbench.tree.figures import short_count


def check_model(lm: Any) -> Any:
    """Return the model itself, or raise a SettingError if it cannot read a prompt."""
    if lm.preprocessor is None:
        raise SettingError(f"{lm.name} has no preprocessor: a panel needs one to read the prompt")
    return lm


def heading_of(lm: Any) -> dict[str, str]:
    """Return name, family, number of parameters and dtype as readable text."""
    return {
        "name": Path(lm.preset or lm.name).name,
        "family": type(lm.backbone).__name__.removesuffix("Backbone"),
        "parameters": short_count(lm.backbone.count_params()),
        "dtype": lm.backbone.dtype_policy.name,
    }
