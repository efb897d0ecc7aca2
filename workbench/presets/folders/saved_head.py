"""The trained classifier of a preset, in any layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.backbones.weights import Rules
from workbench.errors import PresetError
from workbench.formats.tensors import TensorSource
from workbench.storage.files import CONFIG
from workbench.storage.json_files import shown


@dataclass(frozen=True)
class SavedHead:
    """The task's arguments that describe its head, and the place of its weights.

    `labels` names the classes in order; it is empty if the preset does not name them.
    """

    arguments: dict[str, Any]
    rules: Rules
    open_weights: Callable[[], TensorSource]
    labels: tuple[str, ...] = ()


def label_names(named: Any, count: Any) -> tuple[str, ...]:
    """Return the names of classes from a Transformers config: `{"0": "negative", ...}`.

    Raises:
        PresetError: the keys are not the classes 0 to count - 1.
    """
    if named is None:
        return ()
    if not isinstance(named, dict) or set(named) != {str(index) for index in range(count)}:
        raise PresetError.at(CONFIG, "id2label", f"names of classes 0 to {count}", shown(named))
    names = tuple(named[str(index)] for index in range(count))
    if not all(isinstance(name, str) for name in names):
        raise PresetError.at(CONFIG, "id2label", "strings", shown(named))
    return names
