"""Turning a model's matrices into integers."""

from __future__ import annotations

from typing import Any, Self

import keras

from workbench.backbones.all_or_nothing import all_or_nothing
from workbench.backbones.layers.quantizable import Quantizable
from workbench.backbones.precision import check_mode
from workbench.errors import SettingError
from workbench.interrupts import let_through
from workbench.memory.door import admit, names_exhaustion

BYTES = {"int8": 1, "int4": 0.5}  # of a number


class OwnQuantize:
    """Mix-in before a Keras model whose `quantize` is its own: Keras would wrap it in checks of
    what only Keras's modes take."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        model = super().__new__(cls, *args, **kwargs)
        vars(model).pop("quantize", None)  # the wrapper; the method is the class's
        return model

    @property
    def quantization(self) -> str | None:
        """ "int8" or "int4" where the matrices are integers, else None."""
        return quantization_mode(self)


def quantizable_layers(model: keras.Model) -> list[Any]:
    """The layers whose matrices may be integers."""
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if isinstance(layer, Quantizable) and layer.quantizable]


def quantization_mode(model: keras.Model) -> str | None:
    """The mode of a model's integers; None while all its matrices are floats."""
    modes = (layer.quantization_mode for layer in quantizable_layers(model))
    return next((mode for mode in modes if mode is not None), None)


@names_exhaustion("quantize")
def quantize_layers(model: keras.Model, mode: str) -> None:
    """Turn the matrices of a model into integers: all of them, or none where it fails.

    Raises:
        SettingError: as `Backbone.quantize`.
        MemoryTooSmallError: there is no room for the integers beside the floats.
    """
    check_mode(mode)
    if model.compute_dtype == "float16" and mode == "int8":
        raise SettingError("quantize: int8 is not computed in float16; load in another dtype")
    layers = quantizable_layers(model)
    if any(layer.quantization_mode is not None for layer in layers):
        raise SettingError(f"quantize: {model.name} is quantized already")
    _admit(layers, mode)
    with all_or_nothing(model):
        for layer in layers:
            let_through()
            layer.quantize(mode)


def _admit(layers: list[Any], mode: str) -> None:
    """Refuse what would not fit: the floats stay until all integers are there."""
    numbers = sum(layer.count_params() for layer in layers)
    advice = f'Load the preset with dtype="{mode}": it has one matrix at a time as both.'
    admit("quantize", int(numbers * BYTES[mode]), advice)
