"""Gemma 3: Gemma 2 without caps, with a norm on every head of queries and keys, five windowed
layers for each full one, a rotary base for each kind, and in larger models pictures anywhere in the
text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.image_text import ImageTextDecoder
from workbench.errors import PromptError, SettingError
from workbench.families import gemma3_files, gemma_files
from workbench.families.gemma3_files import GLOBAL_WAVELENGTH, LOCAL_WAVELENGTH
from workbench.families.gemma3_preprocessor import (
    Gemma3CausalLMPreprocessor,
    Gemma3Tokenizer,
)
from workbench.families.gemma3_vision import (
    Gemma3ImageConverter,
    Gemma3VisionEncoder,
    image_prefix,
)
from workbench.families.registry import Family
from workbench.tasks.image_text import ImageTextLM


class Gemma3Backbone(ImageTextDecoder):
    """A Gemma 3 decoder (Gemma Team 2025), with KerasHub's arguments.

    Inputs: `token_ids` int32 (B, T) and `padding_mask` (B, T), true or nonzero at real tokens; with
    a vision encoder also `images` (B, pictures, image_size, image_size, 3) in [-1, 1] and
    `vision_mask` (B, T), true or nonzero at the places of a row's picture vectors, in order. Rows
    with fewer pictures are padded with arbitrary ones. KerasHub's `vision_indices`, the same places
    as numbers, are optional. Output: hidden states (B, T, hidden_dim).

    Args:
        vocabulary_size: rows of the token table.
        image_size: height and width of a picture, in pixels; a text model has none.
        num_layers: number of blocks.
        num_query_heads: attention heads.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        head_dim: width of a head.
        query_head_dim_normalize: scale scores by head_dim ** -0.5; False scales by
            (hidden_dim / num_query_heads) ** -0.5, as the 27B model needs.
        use_query_key_norm: norm every head of queries and keys.
        use_post_ffw_norm: norm the feed-forward branch before it is added.
        use_post_attention_norm: norm the attention branch before it is added.
        attention_logit_soft_cap: bound on the attention scores; None for none.
        final_logit_soft_cap: bound on the output logits; None for none.
        use_sliding_window_attention: five of six layers see only the last sliding_window_size
            keys, and use the short rotary wavelength.
        sliding_window_size: keys a query sees there, itself included.
        local_rope_scaling_factor: divisor of the positions in windowed layers.
        global_rope_scaling_factor: divisor of the positions in the other layers.
        vision_encoder: settings of the image encoder; None for a model that reads text only.
        layer_norm_epsilon: epsilon of every norm.
        use_bidirectional_attention: False; embedding models are not supported.
        dropout: rate after each branch in training.
        is_embedding_model: False; embedding models are not supported.
        pooling_intermediate_dim, embedding_dim: None, as above.
        dtype: Keras dtype policy.
        query_pre_attn_scalar: scale scores by this ** -0.5 and ignore query_head_dim_normalize.
            KerasHub has no such argument.
        image_token_ids: the ids before, after and in the places of a picture, from Transformers'
            files; None for those of all releases. KerasHub has no such argument.

    Raises:
        SettingError: an argument is impossible or not supported.
    """

    own_arguments: ClassVar[dict[str, Any]] = {
        "query_pre_attn_scalar": None,
        "image_token_ids": None,
    }

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        image_size: int | None,
        num_layers: int,
        num_query_heads: int,
        num_key_value_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        head_dim: int,
        query_head_dim_normalize: bool = True,
        use_query_key_norm: bool = True,
        use_post_ffw_norm: bool = False,
        use_post_attention_norm: bool = False,
        attention_logit_soft_cap: float | None = None,
        final_logit_soft_cap: float | None = None,
        use_sliding_window_attention: bool = False,
        sliding_window_size: int = 1024,
        local_rope_scaling_factor: float = 1.0,
        global_rope_scaling_factor: float = 1.0,
        vision_encoder: Gemma3VisionEncoder | None = None,
        layer_norm_epsilon: float = 1e-6,
        use_bidirectional_attention: bool = False,
        dropout: float = 0,
        is_embedding_model: bool = False,
        pooling_intermediate_dim: None = None,
        embedding_dim: None = None,
        dtype: Any = None,
        query_pre_attn_scalar: float | None = None,
        image_token_ids: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        _refuse(
            use_bidirectional_attention=use_bidirectional_attention,
            is_embedding_model=is_embedding_model,
            pooling_intermediate_dim=pooling_intermediate_dim,
            embedding_dim=embedding_dim,
        )
        norm = config.RMSNorm(layer_norm_epsilon, offset=1.0)
        shared = config.LayerSpec(
            post_attention_norm=use_post_attention_norm, post_mlp_norm=use_post_ffw_norm
        )
        windowed = replace(
            shared,
            window=sliding_window_size,
            rope=config.Rope(LOCAL_WAVELENGTH, local_rope_scaling_factor),
        )
        count = config.layer_count("Gemma3Backbone", num_layers)
        slides = [use_sliding_window_attention and i % 6 < 5 for i in range(count)]
        widths = (num_query_heads, head_dim, hidden_dim)
        scaled = gemma_files.check_scores_width(
            "Gemma3Backbone", *widths, query_head_dim_normalize, query_pre_attn_scalar
        )
        super().__init__(
            config.DecoderConfig(
                vocabulary_size=vocabulary_size,
                width=hidden_dim,
                layers=tuple(windowed if slide else shared for slide in slides),
                position=config.Rope(GLOBAL_WAVELENGTH, global_rope_scaling_factor),
                norm=norm,
                attention=config.Attention(
                    num_query_heads,
                    num_key_value_heads,
                    head_dim,
                    scale=scaled**-0.5,
                    soft_cap=attention_logit_soft_cap,
                    query_key_norm=norm if use_query_key_norm else None,
                ),
                mlp=config.Gated(intermediate_dim, "gelu_tanh"),
                scale_embedding=True,
                final_soft_cap=final_logit_soft_cap,
                dropout=dropout,
            ),
            image_prefix(vision_encoder, image_size, hidden_dim),
            dtype=dtype,
            **kwargs,
        )

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the hidden states; the inputs may include `vision_indices`."""
        return super().__call__(without_indices(inputs), *args, **kwargs)


def _refuse(**settings: Any) -> None:
    for name, value in settings.items():
        if value:
            raise SettingError(
                f"Gemma 3: {name}: embedding models are not supported: expected None or "
                f"False, got {type(value).__name__}"
            )


def without_indices(inputs: Any) -> Any:
    """Remove KerasHub's `vision_indices`, which must agree with `vision_mask`, from the inputs.

    Raises:
        PromptError: they do not agree.
    """
    if not isinstance(inputs, Mapping) or "vision_indices" not in inputs:
        return inputs
    rest = {name: value for name, value in inputs.items() if name != "vision_indices"}
    places = rest.get("vision_mask")
    if isinstance(places, np.ndarray):
        _check_indices(np.atleast_2d(np.asarray(inputs["vision_indices"])), np.atleast_2d(places))
    return rest


def _check_indices(indices: np.ndarray, places: np.ndarray) -> None:
    for row, (given, mask) in enumerate(zip(indices, places, strict=True)):
        expected = np.flatnonzero(mask)
        fits = np.array_equal(given[: len(expected)], expected)
        if not fits or np.any(given[len(expected) :]):
            raise PromptError(
                f"inputs: row {row}: vision_indices: expected the places of vision_mask, then 0"
            )


class Gemma3CausalLM(ImageTextLM):
    """Gemma 3 as a language model of text and, with an image encoder, pictures; samples greedily by
    default.

    Prompts are strings, or `{"images": ..., "prompts": ...}`: a picture goes to `<start_of_image>`
    in its prompt, or in front of a prompt without this mark. Several pictures of a prompt are a
    list. Without a preprocessor `generate` takes `images` (B, pictures, height, width, 3) in [-1,
    1], `vision_mask`, `token_ids` and `padding_mask` (B, L).

    Example:
        >>> lm = workbench.models.CausalLM.from_preset("gemma3_instruct_4b")
        >>> lm.chat([{"role": "user", "content": [
        ...     {"type": "image", "image": "cat.jpg"}, {"type": "text", "text": "What is this?"}]}])
    """

    backbone_cls = Gemma3Backbone
    preprocessor_cls = Gemma3CausalLMPreprocessor
    default_sampler = "greedy"

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the logits; the inputs may include `vision_indices`."""
        return super().__call__(without_indices(inputs), *args, **kwargs)

    def preprocess(self, x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, ...]:
        """Convert a dict of pictures and texts, or strings, to training arrays. Arrays are returned
        without `vision_indices`."""
        x, y, sample_weight = super().preprocess(x, y, sample_weight)
        return without_indices(x), y, sample_weight

    def _image_places(self, inputs: Mapping[str, Any], shape: tuple[int, int]) -> np.ndarray:
        places = np.zeros(shape, bool)
        if "vision_mask" in inputs:
            places = np.atleast_2d(np.asarray(inputs["vision_mask"])).astype(bool)
            without_indices({**inputs, "vision_mask": places})
        if places.shape != shape:
            raise PromptError(
                f"generate: inputs: vision_mask: expected shape {shape}, got {places.shape}"
            )
        return places

    def _image_arrays(self, images: Any, places: np.ndarray) -> list[list[np.ndarray]]:
        """Return as many pictures of each row as its places need, from (B, pictures, height, width,
        3), or (pictures, height, width, 3) for one row."""
        if images is None or self.backbone.images is None:
            return [[] for _ in places]
        prefix = self.backbone.images
        array = np.asarray(images, np.float32)
        array = array[None] if array.ndim == 4 else array
        size = (*prefix.vision.image_size, 3)
        if array.ndim != 5 or len(array) != len(places) or array.shape[2:] != size:
            raise PromptError(
                f"generate: inputs: images: expected shape {(len(places), 'pictures', *size)}, "
                f"got {array.shape}"
            )
        counts = places.sum(axis=1) // prefix.tokens
        return [list(row[:count]) for row, count in zip(array, counts, strict=True)]


_SHARED = {
    "name": "gemma3",
    "backbone": Gemma3Backbone,
    "tokenizer": Gemma3Tokenizer,
    "preprocessor": Gemma3CausalLMPreprocessor,
    "causal_lm": Gemma3CausalLM,
    "parts": {"vision_encoder": Gemma3VisionEncoder},
    "converters": {"image_converter": Gemma3ImageConverter},
    "keras_hub_rules": gemma3_files.keras_hub_rules,
}

FAMILIES = (
    Family(transformers=gemma3_files.TEXT, gguf=gemma3_files.GGUF, **_SHARED),
    Family(transformers=gemma3_files.VISION, **_SHARED),
)
