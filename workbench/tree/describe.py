"""Describes the parts of a model by the values they were built from."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import keras

from workbench.backbones import block, parseq_decoder, vision
from workbench.backbones.config import DecoderConfig, StackConfig
from workbench.backbones.encoder_decoder import EncoderDecoder
from workbench.backbones.layers import attention, audio, dense, mlp, moe, named, norms, patches
from workbench.backbones.layers.embedding import EmbeddingScale, PositionEmbedding

Order = tuple[Any, ...]

_LONGEST = 4  # the most numbers shown of a tuple


def brief(value: Any) -> str:
    """Return a value as code; of dataclasses, only the fields that differ from the defaults."""
    if is_dataclass(value):
        return f"{type(value).__name__}({settings(value)})"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.6g}"
    if isinstance(value, tuple) and len(value) > _LONGEST:
        return f"({brief(value[0])}, …, {brief(value[-1])}: {len(value)} numbers)"
    if isinstance(value, tuple):
        return f"({', '.join(map(brief, value))})"
    return repr(value)


def settings(spec: Any, without: Iterable[str] = ()) -> str:
    """Return the fields of a dataclass that differ from their defaults, as arguments."""
    return arguments(
        {
            field.name: getattr(spec, field.name)
            for field in fields(spec)
            if field.name not in without and not _is_default(field, getattr(spec, field.name))
        }
    )


def arguments(values: Mapping[str, Any]) -> str:
    """Return values as arguments of a call."""
    return ", ".join(f"{name}={brief(value)}" for name, value in values.items())


def _is_default(field: Any, value: object) -> bool:
    return field.default is not MISSING and field.default == value


def components(config: StackConfig) -> str:
    """Return the components of a stack of blocks."""
    parts = [f"{len(config.layers)} layers of width {config.width:,}"]
    parts += [
        f"{name}={brief(getattr(config, name))}" for name in ("position", "norm", "mlp", "block")
    ]
    if isinstance(config, DecoderConfig):
        parts.append("tied embeddings" if config.tied else "untied embeddings")
    return ", ".join(parts)


# -- layers ------------------------------------------------------------------------------------


@functools.singledispatch
def describe(layer: keras.layers.Layer) -> str:
    """Return a layer's settings in words; empty if its name, class and shapes say enough."""
    return ""


@describe.register
def _(layer: attention.Attention) -> str:
    spec = layer.spec
    usual = math.isclose(spec.scale, spec.head_dim**-0.5)
    parts = [settings(spec, ("scale",) if usual else ())]
    if layer.position is not None:
        parts.append(f"position={brief(layer.position)}")
    return ", ".join([*parts, *_window(layer)])


def _window(layer: attention.Attention) -> list[str]:
    return [] if layer.window is None else [f"window={layer.window}"]


@describe.register
def _(layer: block.BlockLayers) -> str:
    return ", ".join(_window(layer.attention))


@describe.register(mlp.GatedMLP)
@describe.register(mlp.DenseMLP)
@describe.register(moe.MoE)
@describe.register(norms.RMSNorm)
@describe.register(audio.ConvolutionLayer)
def _(layer: Any) -> str:
    return settings(layer.spec)


@describe.register
def _(layer: named.Projection) -> str:
    outputs, inputs = layer.kernel_axes
    return f"{_axes(inputs)} → {_axes(outputs)}" + _quantized(layer)


@describe.register
def _(layer: named.TokenEmbedding) -> str:
    tied = "tied" if layer.tie_weights else "untied"
    cap = layer.logit_soft_cap
    capped = "" if cap is None else f", logits capped at {brief(cap)}"
    return f"{layer.input_dim:,} × {layer.output_dim:,}, {tied}{capped}" + _quantized(layer)


def _quantized(layer: Any) -> str:
    return "" if layer.quantization_mode is None else f", {layer.quantization_mode}"


def _axes(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{side:,}" for side in shape)


@describe.register
def _(layer: norms.LayerNorm) -> str:
    return f"epsilon={brief(layer.epsilon)}" + ("" if layer.center else ", bias=False")


@describe.register
def _(layer: audio.RecordingNorm) -> str:
    return f"epsilon={brief(layer.epsilon)}"


@describe.register
def _(layer: audio.AudioFrames) -> str:
    hop = math.prod(one.stride for one in layer.convolutions)
    return f"a frame for every {hop} samples"


@describe.register
def _(layer: patches.PatchEmbedding) -> str:
    return f"patches of {_axes(layer.patch)}"


@describe.register
def _(layer: PositionEmbedding) -> str:
    return f"{layer.length:,} positions"


@describe.register
def _(layer: parseq_decoder.PositionQueries) -> str:
    return f"{layer.length:,} positions"


@describe.register
def _(layer: EmbeddingScale) -> str:
    return "times √width"


@describe.register
def _(layer: vision.VisionEncoder) -> str:
    spec = layer.vision
    return f"pictures of {_axes(spec.image_size)} to {spec.patches:,} patches"


@describe.register
def _(layer: vision.LinearConnector) -> str:
    return f"{brief(layer.prefix.connector)}, {layer.prefix.tokens:,} places a picture"


@describe.register
def _(layer: dense.NamedDense) -> str:
    name = keras.activations.serialize(layer.activation)
    return f"→ {layer.units:,}" + ("" if name == "linear" else f", {name}")


@describe.register
def _(layer: keras.layers.Dropout) -> str:
    return f"rate={brief(layer.rate)}"


# -- the order in which a layer uses its parts ----------------------------------------------------


@functools.singledispatch
def order(layer: keras.layers.Layer) -> Order:
    """Return the names of a layer's parts in the order of use; `...` stands for all other parts, in
    the order they were made."""
    return (...,)


@order.register
def _(layer: EncoderDecoder) -> Order:
    after: list[Any] = [] if layer.config.shared else [layer.head]
    after += [*layer._prepare, *layer.blocks, *layer._finish]
    return (..., *(part.name for part in after))


@order.register
def _(layer: block.BlockLayers) -> Order:
    return _ordered("attention", "cross", "mlp")


@order.register
def _(layer: block.PostNormLayers) -> Order:
    return _ordered("attention", "cross", "mlp", norm_first=False)


@order.register
def _(layer: parseq_decoder.PARSeqBlock) -> Order:
    return ("query_norm", "content_norm", *_ordered("attention", "cross", "mlp"))


def _ordered(*branches: str, norm_first: bool = True) -> Order:
    names: list[Any] = []
    for branch in branches:
        layer = "cross_attention" if branch == "cross" else branch
        norm = [f"{branch}_norm"]
        names += [*norm, layer] if norm_first else [layer, *norm]
        names.append(f"post_{branch}_norm")
    return (*names, ...)
