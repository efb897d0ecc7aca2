"""Check before saving that no interrupted change left a model inconsistent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.backbones.layers.integers import KINDS
from workbench.backbones.quantization import quantizable_layers, quantization_mode
from workbench.errors import PresetError
from workbench.keras_internals import stored_value
from workbench.storage.json_files import first


def check_consistent(backbone: Any) -> None:
    """Check the names and dtypes of the layers' variables; no value is read.

    Raises:
        PresetError: values were deleted, or only some of the matrices are integers.
    """
    wrong = [*_lost(backbone), *_unlike(backbone)]
    if wrong:
        raise PresetError(
            f"{backbone.name}: a change to the model was interrupted halfway, so it is not saved. "
            f"Load it again:\n{first(wrong)}"
        )


def _lost(backbone: Any) -> Iterator[str]:
    for variable in backbone.variables:
        value = stored_value(variable)
        if value is None or value.is_deleted():
            yield f"{variable.path}: expected a value, got none"


def _unlike(backbone: Any) -> Iterator[str]:
    """Name the layers whose matrices are not in the model's quantisation mode."""
    mode = quantization_mode(backbone)
    fields = ("codes",) if mode is None else KINDS[mode]._fields
    for layer in quantizable_layers(backbone):
        names = layer.matrix_names
        expected = {name if f == "codes" else f"{name}_{f}" for name in names for f in fields}
        weights = {weight.name: weight.dtype for weight in layer.weights}
        integers = all(weights.get(name) == "int8" for name in names) if mode else True
        if layer.quantization_mode != mode or not integers or expected - set(weights):
            kind = "floats" if mode is None else mode
            yield f"{layer.path}: expected {kind} of {sorted(expected)}, got {sorted(weights)}"
