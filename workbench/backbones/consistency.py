"""Whether a model is one thing: what a change that was torn off may have left is not saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.backbones.layers.integers import KINDS
from workbench.backbones.quantization import quantizable_layers, quantization_mode
from workbench.errors import PresetError
from workbench.storage.json_files import first


def check_consistent(backbone: Any) -> None:
    """Look at what layers hold and what it is called; no number is read.

    Raises:
        PresetError: values are gone, or some matrices are integers and others are not.
    """
    wrong = [*_lost(backbone), *_unlike(backbone)]
    if wrong:
        raise PresetError(
            f"{backbone.name}: a change of the model was broken off, so it is not saved: load it "
            f"again:\n{first(wrong)}"
        )


def _lost(backbone: Any) -> Iterator[str]:
    for variable in backbone.variables:
        value = variable._value
        if value is None or value.is_deleted():
            yield f"{variable.path}: expected a value, got none"


def _unlike(backbone: Any) -> Iterator[str]:
    """Layers that do not hold their matrices as the model does."""
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
