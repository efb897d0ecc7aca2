"""The sizes that determine a model's memory, read from any source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from workbench.backbones.config import MAX_SIZE, DecoderConfig, StackConfig
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig
from workbench.backbones.parseq_config import PARSeqConfig
from workbench.backbones.vision_config import ImagePrefix, VisionConfig
from workbench.formats.tensors import FLOATS, TensorSource


@dataclass(frozen=True)
class ImageSizes:
    """The sizes of an image encoder. `ahead`: decoder positions of a picture in addition to those
    of the text. Unknown sizes are 0."""

    ahead: int
    layers: int = 0
    patches: int = 0
    width: int = 0
    inner: int = 0
    heads: int = 0

    @classmethod
    def of_prefix(cls, images: ImagePrefix) -> Self:
        """Return the sizes of a backbone's image encoder."""
        return cls.of_vision(images.vision, images.tokens if images.whole_prompt else 0)

    @classmethod
    def of_vision(cls, vision: VisionConfig, ahead: int = 0) -> Self:
        """Return the sizes of an image encoder."""
        stack = vision.stack
        return cls(
            ahead=ahead,
            layers=len(stack.layers),
            patches=vision.patches,
            width=stack.width,
            inner=stack.mlp.width,
            heads=stack.attention.heads,
        )

    @classmethod
    def of_arguments(cls, arguments: Mapping[str, Any]) -> Self | None:
        """Return the sizes from a backbone's arguments, by KerasHub's names; None without
        pictures."""
        encoder = arguments.get("vision_encoder")
        prefix = "" if encoder is not None else "vit_"  # PaliGemma has separate arguments
        given = arguments if encoder is None else encoder.get_config()

        def named(name: str) -> int:
            return _size(given.get(name))

        patch = named(f"{prefix}patch_size")
        if not patch:
            return None
        patches = (named("image_size") // patch) ** 2
        return cls(
            ahead=patches if encoder is None else 0,
            layers=named(f"{prefix}num_layers"),
            patches=patches,
            width=named(f"{prefix}hidden_dim"),
            inner=named(f"{prefix}intermediate_dim"),
            heads=named(f"{prefix}num_heads"),
        )


@dataclass(frozen=True)
class Sizes:
    """The sizes for an estimate. `largest`: numbers in the largest tensor; `codes`: bytes of
    quantized weights, which stay as stored and are not in `parameters`; `encoder`: whether the
    layers also read an encoder; `images`: the image encoder, if any. Unknown sizes are 0."""

    parameters: int
    largest: int
    layers: int = 0
    width: int = 0
    inner: int = 0
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    vocabulary: int = 0
    codes: int = 0
    encoder: bool = False
    images: ImageSizes | None = None

    @classmethod
    def of_config(
        cls, config: DecoderConfig | EncoderDecoderConfig, images: ImagePrefix | None = None
    ) -> Self:
        """Return the sizes of a backbone's configuration; norms and biases are left out."""
        if isinstance(config, EncoderDecoderConfig):
            decoder = cls.of_config(config.decoder)
            return replace(decoder, parameters=config.matrix_parameters, encoder=True)
        if images is not None:
            text, width = cls.of_config(config), images.vision.stack.width
            more = images.vision.matrix_parameters + width * config.width
            own = ImageSizes.of_prefix(images)
            return replace(text, parameters=text.parameters + more, images=own)
        largest = max(config.vocabulary_size * config.width, config.mlp.width * config.width)
        return replace(cls.of_stack(config), largest=largest, vocabulary=config.vocabulary_size)

    @classmethod
    def of_stack(cls, config: StackConfig) -> Self:
        """Return the sizes of a stack of layers, such as an encoder."""
        return cls(
            parameters=config.matrix_parameters,
            largest=config.mlp.width * config.width,
            layers=len(config.layers),
            width=config.width,
            inner=max((layer.mlp or config.mlp).width for layer in config.layers),
            heads=config.attention.heads,
            kv_heads=config.attention.kv_heads,
            head_dim=config.attention.head_dim,
        )

    @classmethod
    def of_backbone(cls, backbone: Any) -> Self:
        """Return the sizes of a built backbone."""
        config = backbone.config
        if isinstance(config, PARSeqConfig):
            images = ImageSizes.of_vision(config.vision)
            return replace(cls.of_config(config.decoder), images=images)
        if isinstance(config, DecoderConfig | EncoderDecoderConfig):
            return cls.of_config(config, getattr(backbone, "images", None))
        return cls.of_stack(config)

    @classmethod
    def of_files(cls, arguments: Mapping[str, Any], source: TensorSource) -> Self:
        """Return the sizes from a backbone's arguments, by KerasHub's names, and its weight
        files."""

        def named(*names: str) -> int:
            found = (arguments.get(prefix + name) for name in names for prefix in ("", "decoder_"))
            return next((size for size in map(_size, found) if size), 0)

        floats = _numbers(source, floats=True)
        width = named("hidden_dim")
        heads = named("num_query_heads", "num_attention_heads", "num_heads")
        return cls(
            parameters=sum(floats),
            largest=max(floats, default=0),
            codes=sum(_numbers(source, floats=False)),
            layers=named("num_layers"),
            width=width,
            inner=named("intermediate_dim", "moe_intermediate_dim"),
            heads=heads,
            kv_heads=named("num_key_value_heads") or heads,
            head_dim=named("head_dim") or (width // heads if heads else 0),
            vocabulary=named("vocabulary_size"),
            encoder="encoder_num_layers" in arguments,
            images=ImageSizes.of_arguments(arguments),
        )


def _size(value: Any) -> int:
    """Return a size, or 0 if it is impossible; the backbone refuses it later, when it is built."""
    return value if type(value) is int and 0 < value <= MAX_SIZE else 0


def _numbers(source: TensorSource, floats: bool) -> list[int]:
    """Return the number of elements of each float tensor, or of each other tensor."""
    names = [name for name in source.names() if (source.dtype(name) in FLOATS) == floats]
    return [math.prod(source.shape(name)) for name in names]
