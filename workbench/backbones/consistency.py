"""Whether a model is one thing: what a change that was torn off may have left is not saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.backbones.layers.integers import KINDS
from workbench.backbones.quantization import quantizable_layers, quantization_mode
from workbench.errors import PresetError
from workbench.presets.json_files import first


def check_consistent(backbone: Any) -> None:
    """Look at what layers hold and what it is called; no number is read.

    Raises:
        PresetError: values are gone, some matrices are integers and others are not, or the
            projections do not have the updates of the active adapter.
    """
    wrong = [*_lost(backbone), *_unlike(backbone), *_adapted_otherwise(backbone.adapters)]
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


def _adapted_otherwise(adapters: Any) -> Iterator[str]:
    at_work = adapters.active is not None and not adapters.merged
    updates = adapters.kept[adapters.active].updates if at_work else {}
    expected = {path: tuple(update.a.shape) for path, update in updates.items()}
    got = {path: tuple(layer.lora_a.shape) for path, layer in adapters.live.items()}
    for path in sorted({*expected, *got}):
        if expected.get(path) != got.get(path):
            wanted = "no update" if path not in expected else f"an update {expected[path]}"
            yield f"{path}: expected {wanted} of adapter {adapters.active!r}, got {got.get(path)}"
