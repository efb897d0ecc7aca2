"""Quantise a model's matrices to integers."""

from __future__ import annotations

from typing import Any, Self

import keras

from workbench.backbones.all_or_nothing import all_or_nothing
from workbench.backbones.layers.quantizable import Quantizable
from workbench.backbones.precision import check_mode
from workbench.errors import SettingError
from workbench.interrupts import let_through
from workbench.keras_internals import ModelMixin, layers_within
from workbench.memory.door import admit, names_exhaustion

BYTES = {"int8": 1, "int4": 0.5}  # of a number


class OwnQuantize(ModelMixin):
    """Mix-in before a Keras model that has its own `quantize`: Keras would wrap it in checks that
    fit only Keras's modes."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        model = super().__new__(cls, *args, **kwargs)
        vars(model).pop("quantize", None)  # remove Keras's wrapper
        return model

    @property
    def quantization(self) -> str | None:
        """ "int8" or "int4" if the matrices are integers, else None."""
        return quantization_mode(self)


def quantizable_layers(model: keras.Model) -> list[Any]:
    """Return the layers whose matrices can be quantised."""
    layers = layers_within(model)
    return [layer for layer in layers if isinstance(layer, Quantizable) and layer.quantizable]


def quantization_mode(model: keras.Model) -> str | None:
    """Return the quantisation mode of a model; None while all its matrices are floats."""
    modes = (layer.quantization_mode for layer in quantizable_layers(model))
    return next((mode for mode in modes if mode is not None), None)


@names_exhaustion("quantize")
def quantize_layers(model: keras.Model, mode: str) -> None:
    """Quantise all matrices of a model, or none if that fails.

    Raises:
        SettingError: as `Backbone.quantize`.
        MemoryTooSmallError: memory does not hold the integers beside the floats.
    """
    check_mode(mode)
    if model.compute_dtype == "float16" and mode == "int8":
        raise SettingError("quantize: int8 does not compute in float16; load in another dtype")
    layers = quantizable_layers(model)
    if any(layer.quantization_mode is not None for layer in layers):
        raise SettingError(f"quantize: {model.name} is quantized already")
    _admit(layers, mode)
    with all_or_nothing(model):
        for layer in layers:
            let_through()
            layer.quantize(mode)


def _admit(layers: list[Any], mode: str) -> None:
    """Refuse what does not fit: the floats stay until all integers exist."""
    numbers = sum(layer.count_params() for layer in layers)
    advice = f'Load the preset with dtype="{mode}": it holds one matrix at a time in both forms.'
    admit("quantize", int(numbers * BYTES[mode]), advice)
