"""PaliGemma 1 and 2: a SigLIP image encoder before a Gemma decoder. Attention is bidirectional over
picture and prompt, and causal over the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import jax
import numpy as np

from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.image_text import ImageTextDecoder
from workbench.backbones.vision_config import ImagePrefix, Linear, vision_transformer
from workbench.errors import PromptError, present
from workbench.families import gemma
from workbench.families.pali_gemma_files import (
    SIGLIP_EPSILON,
    SIGLIP_INNER,
    TRANSFORMERS,
    keras_hub_rules,
)
from workbench.families.registry import Family
from workbench.images import ImageConverter
from workbench.images.preprocessor_config import (
    converter_from_transformers,
    transformers_from_converter,
)
from workbench.kinds import checks_types
from workbench.preprocessing.image_text_preprocessor import (
    ImagePrompt,
    ImageTextPreprocessor,
    PromptReading,
)
from workbench.preprocessing.preprocessor import Arrays, pack
from workbench.tasks.image_text import ImageTextLM
from workbench.tokenizers import Tokenizer


class PaliGemmaBackbone(ImageTextDecoder):
    """PaliGemma (Beyer et al. 2024; Steiner et al. 2024), with KerasHub's arguments.

    Inputs: `images` (B, image_size, image_size, 3) in [-1, 1], `token_ids` int32 (B, T), and
    `padding_mask` and `response_mask` (B, T), true or nonzero at real tokens and at those of the
    answer. Output: hidden states (B, patches + T, hidden_dim); the picture's come first.

    Args:
        vocabulary_size: rows of the token table.
        image_size: height and width of a picture, in pixels.
        num_layers: number of decoder blocks.
        num_query_heads: attention heads.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network, the sum of both branches.
        head_dim: width of a head.
        vit_patch_size: height and width of a patch, in pixels; a divisor of image_size.
        vit_num_heads: attention heads of the image encoder.
        vit_hidden_dim: its width.
        vit_num_layers: its number of blocks.
        vit_intermediate_dim: inner width of its feed-forward network; None for 4304.
        vit_pooling, vit_classifier_activation: None; every patch becomes a vector unchanged.
        vit_name: kept for KerasHub's files.
        query_head_dim_normalize: scale scores by head_dim ** -0.5; False scales by
            (hidden_dim / num_query_heads) ** -0.5, as the 28B models need.
        use_post_ffw_norm: norm the feed-forward branch before it is added (PaliGemma 2).
        use_post_attention_norm: norm the attention branch before it is added (PaliGemma 2).
        attention_logit_soft_cap: bound on the attention scores; None for none.
        final_logit_soft_cap: bound on the output logits; None for none.
        use_sliding_window_attention: every other layer sees only the last sliding_window_size
            keys; picture and prompt see each other there as in all layers.
        sliding_window_size: keys a query sees there, itself included.
        layer_norm_epsilon: epsilon of every norm of the decoder.
        dropout: rate after each branch of the decoder in training.
        dtype: Keras dtype policy.
        query_pre_attn_scalar: scale scores by this ** -0.5 and ignore query_head_dim_normalize.
            KerasHub has no such argument.

    Raises:
        SettingError: an argument is impossible.
    """

    own_arguments: ClassVar[dict[str, Any]] = {"query_pre_attn_scalar": None}

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int = 257152,
        image_size: int = 224,
        num_layers: int = 18,
        num_query_heads: int = 8,
        num_key_value_heads: int = 1,
        hidden_dim: int = 2048,
        intermediate_dim: int = 32768,
        head_dim: int = 256,
        vit_patch_size: int = 14,
        vit_num_heads: int = 16,
        vit_hidden_dim: int = 1152,
        vit_num_layers: int = 27,
        vit_intermediate_dim: int | None = None,
        vit_pooling: None = None,
        vit_classifier_activation: None = None,
        vit_name: str | None = None,
        query_head_dim_normalize: bool = True,
        use_post_ffw_norm: bool = False,
        use_post_attention_norm: bool = False,
        attention_logit_soft_cap: float | None = None,
        final_logit_soft_cap: float | None = None,
        use_sliding_window_attention: bool = False,
        sliding_window_size: int = 4096,
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0,
        dtype: Any = None,
        query_pre_attn_scalar: float | None = None,
        **kwargs: Any,
    ) -> None:
        decoder = gemma.decoder_config(
            "PaliGemmaBackbone",
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
            num_query_heads=num_query_heads,
            num_key_value_heads=num_key_value_heads,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
            head_dim=head_dim,
            query_head_dim_normalize=query_head_dim_normalize,
            use_post_ffw_norm=use_post_ffw_norm,
            use_post_attention_norm=use_post_attention_norm,
            attention_logit_soft_cap=attention_logit_soft_cap,
            final_logit_soft_cap=final_logit_soft_cap,
            use_sliding_window_attention=use_sliding_window_attention,
            sliding_window_size=sliding_window_size,
            layer_norm_epsilon=layer_norm_epsilon,
            dropout=dropout,
            query_pre_attn_scalar=query_pre_attn_scalar,
        )
        vision = vision_transformer(
            image_size=(image_size, image_size),
            patch_size=(vit_patch_size, vit_patch_size),
            width=vit_hidden_dim,
            layers=vit_num_layers,
            heads=vit_num_heads,
            mlp_width=SIGLIP_INNER if vit_intermediate_dim is None else vit_intermediate_dim,
            epsilon=SIGLIP_EPSILON,
        )
        images = ImagePrefix(vision, Linear(), whole_prompt=True)
        super().__init__(decoder, images, dtype=dtype, **kwargs)


class PaliGemmaTokenizer(gemma.GemmaTokenizer):
    """PaliGemma's SentencePiece tokenizer: Gemma's, with `<loc0000>` to `<loc1023>` for places in a
    picture and `<seg000>` to `<seg127>` for outlines."""


class PaliGemmaImageConverter(ImageConverter):
    """Converts pictures to PaliGemma's input: one size, values in [-1, 1]."""


class PaliGemmaCausalLMPreprocessor(ImageTextPreprocessor):
    """Preprocessor: one picture per prompt to PaliGemma's arrays, and ids back to text.

    A prompt becomes start token, prompt and line feed. The line feed ends the question and is added
    if the caller omits it. The model adds the picture's places before it; `sequence_length` counts
    only text.

    Args:
        tokenizer: the model's tokenizer.
        image_converter: resizes and scales pictures; without one they must be arrays (height,
            width, 3) of the model's size, in [-1, 1].
        sequence_length: tokens of text per sample.
        add_start_token: put the start token before every prompt.
        add_end_token: put the end token after every answer that has room for it.
    """

    tokenizer_cls = PaliGemmaTokenizer

    @checks_types
    def __init__(
        self,
        tokenizer: Tokenizer,
        image_converter: ImageConverter | None = None,
        sequence_length: int = 1024,
        add_start_token: bool = True,
        add_end_token: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            tokenizer, image_converter, sequence_length, add_start_token, add_end_token, **kwargs
        )

    @classmethod
    def transformers_settings(cls, prepends_start: bool, length: int | None) -> dict[str, Any]:
        """Return the constructor arguments for a Transformers folder, whose processor puts the
        start token before every prompt itself; see `CausalLMPreprocessor`."""
        return super().transformers_settings(True, length)

    @property
    def prompt_frame(self) -> tuple[str | None, str | None]:
        """No tokens: the tokenizer puts none around a text, see `transformers_settings`."""
        return None, None

    def __call__(
        self,
        x: Mapping[str, Any],
        y: Any = None,
        sample_weight: Any = None,
        sequence_length: int | None = None,
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Convert a dict of `images`, `prompts` (or `text`) and `responses` to training arrays:
        inputs, labels and weights, (B, ...), without the first axis for one prompt.

        Only the tokens of answers have weight. Texts longer than `sequence_length` are cut.

        Raises:
            SettingError: labels or weights are given, which this preprocessor computes itself.
            PromptError, ImageError: as `reading`, or there are no responses.
        """
        prompts, single = self._training_rows(x, y, sample_weight)
        readings = [self.reading(prompt, row) for row, prompt in enumerate(prompts)]
        ids = [reading.ids for reading in readings]
        answers = [self.response_ids(present(prompt.response, "a response")) for prompt in prompts]
        length = sequence_length or self.sequence_length
        inputs, labels, weights = self._packed_answers(ids, answers, length)
        inputs |= {"images": _stacked(readings)}
        if not single:
            return inputs, labels, weights
        return {name: array[0] for name, array in inputs.items()}, labels[0], weights[0]

    def generate_preprocess(self, x: Any, sequence_length: int | None = None) -> Arrays:
        """Convert prompts and pictures to padded `token_ids`, `padding_mask`, `response_mask`, (B,
        L), and `images`; without the first axis for one prompt.

        Raises:
            PromptError: as `reading`, or a prompt is longer than the sequence length.
            ImageError: as `reading`.
        """
        length = sequence_length or self.sequence_length
        prompts, single = self.prompts_of(x)
        readings = [self.reading(prompt, row) for row, prompt in enumerate(prompts)]
        for row, reading in enumerate(readings):
            if len(reading.ids) > length:
                raise PromptError(
                    f"prompt {row} has {len(reading.ids)} tokens of text: expected at most the "
                    f"sequence length {length}"
                )
        ids, mask = pack([r.ids for r in readings], length, self.pad_token_id)
        arrays = {
            "images": _stacked(readings),
            "token_ids": ids,
            "response_mask": np.zeros_like(mask),
            "padding_mask": mask,
        }
        return {name: array[0] for name, array in arrays.items()} if single else arrays

    def prompt_ids(self, text: str) -> list[int]:
        """Return the ids before an answer: start token, prompt, line feed."""
        return super().prompt_ids(text if text.endswith("\n") else text + "\n")

    def reading_ids(self, prompt: ImagePrompt, row: int = 0) -> list[int]:
        """Return the ids of the text; the model puts the places of the picture before them.

        Raises:
            PromptError: there is no picture, or more than one.
        """
        if len(prompt.images) != 1:
            raise PromptError(
                f"prompt {row}: expected one picture, which this model reads with every prompt, "
                f"got {len(prompt.images) or 'none'}"
            )
        return self.prompt_ids(prompt.text)

    def reading(self, prompt: ImagePrompt, row: int = 0) -> PromptReading:
        """Return the ids of the text, and its picture.

        Raises:
            PromptError: as `reading_ids`.
            ImageError: the picture cannot be read.
        """
        ids = self.reading_ids(prompt, row)
        return PromptReading(ids, [False] * len(ids), self.convert(prompt, row))

    def convert(self, prompt: ImagePrompt, row: int = 0) -> list[np.ndarray]:
        """Return a list with the prompt's picture, float32 (height, width, 3)."""
        if self.image_converter is not None:
            return super().convert(prompt, row)
        if not isinstance(prompt.images[0], np.ndarray):
            raise PromptError(
                f"prompt {row}: images: without an image_converter, expected an array (height, "
                f"width, 3) in [-1, 1], got {type(prompt.images[0]).__name__}"
            )
        return [np.asarray(prompt.images[0], np.float32)]

    def _pictures(self, images: Any, count: int, single: bool) -> list[tuple[Any, ...]]:
        """Return the picture of each of `count` prompts, from the dict's value."""
        if images is None:
            raise PromptError("inputs: images: expected a picture, got none")
        arrays = isinstance(images, np.ndarray | jax.Array) and images.ndim == 4
        if not arrays and not isinstance(images, list | tuple):
            return [(images,)] * count
        if len(images) != count:
            raise PromptError(
                f"inputs: images: expected one picture, or one for each of {count} prompts, got "
                f"{len(images)}"
            )
        return [(image,) for image in images]


def _stacked(readings: list[PromptReading]) -> np.ndarray:
    """Stack the single picture of each reading, float32 (B, height, width, 3)."""
    return np.stack([reading.images[0] for reading in readings])


class PaliGemmaCausalLM(ImageTextLM):
    """PaliGemma as a vision-language model; samples greedily by default."""

    backbone_cls = PaliGemmaBackbone
    preprocessor_cls = PaliGemmaCausalLMPreprocessor


def _read_preprocessor(given: Mapping[str, Any]) -> dict[str, Any]:
    if not given:  # only the processor's file gives the picture size
        return {}
    return {"image_converter": PaliGemmaImageConverter(**converter_from_transformers(given))}


def _write_preprocessor(preprocessor: ImageTextPreprocessor) -> dict[str, Any]:
    if preprocessor.image_converter is None:
        return {}
    settings = transformers_from_converter(preprocessor.image_converter)
    return {**settings, "processor_class": "PaliGemmaProcessor"}


FAMILIES = (
    Family(
        name="pali_gemma",
        backbone=PaliGemmaBackbone,
        tokenizer=PaliGemmaTokenizer,
        preprocessor=PaliGemmaCausalLMPreprocessor,
        causal_lm=PaliGemmaCausalLM,
        converters={"image_converter": PaliGemmaImageConverter},
        keras_hub_rules=keras_hub_rules,
        transformers=replace(
            TRANSFORMERS,
            read_preprocessor=_read_preprocessor,
            write_preprocessor=_write_preprocessor,
        ),
    ),
)
