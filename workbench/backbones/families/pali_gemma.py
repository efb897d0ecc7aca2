"""PaliGemma 1 and 2: a SigLIP image encoder before a Gemma decoder. Picture and prompt see
themselves in both directions, the answer is causal.
"""

from __future__ import annotations

from typing import Any, ClassVar

from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.families import gemma
from workbench.backbones.image_text import ImageTextDecoder
from workbench.backbones.vision_config import ImagePrefix, Linear, vision_transformer
from workbench.errors import SettingError


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
        intermediate_dim: inner width of the feed-forward network, both branches together.
        head_dim: width of a head.
        vit_patch_size: height and width of a patch, in pixels; a divisor of image_size.
        vit_num_heads: attention heads of the image encoder.
        vit_hidden_dim: its width.
        vit_num_layers: its number of blocks.
        vit_intermediate_dim: inner width of its feed-forward network; None for 4304.
        vit_pooling, vit_classifier_activation: None; every patch becomes a vector as it is.
        vit_name: kept for KerasHub's files.
        query_head_dim_normalize: scale scores by head_dim ** -0.5; False scales by
            (hidden_dim / num_query_heads) ** -0.5, as the 28B models need.
        use_post_ffw_norm: norm the feed-forward branch before it is added (PaliGemma 2).
        use_post_attention_norm: norm the attention branch before it is added (PaliGemma 2).
        attention_logit_soft_cap: bound on the attention scores; None for none.
        final_logit_soft_cap: bound on the output logits; None for none.
        use_sliding_window_attention: every other layer sees only the last sliding_window_size
            keys; picture and prompt see each other there as everywhere.
        sliding_window_size: keys a query sees there, itself included.
        layer_norm_epsilon: epsilon of every norm of the decoder.
        dropout: rate after each branch of the decoder in training.
        dtype: Keras dtype policy.
        query_pre_attn_scalar: scale scores by this ** -0.5, whatever query_head_dim_normalize
            says. Not an argument of KerasHub's.

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
        _refuse(vit_pooling=vit_pooling, vit_classifier_activation=vit_classifier_activation)
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
        )
        images = ImagePrefix(vision, Linear(), whole_prompt=True)
        super().__init__(decoder, images, dtype=dtype, **kwargs)


SIGLIP_INNER = 4304  # of the so400m encoder, which files before KerasHub 0.17 do not state


def _refuse(**settings: Any) -> None:
    for name, value in settings.items():
        if value is not None:
            raise SettingError(
                f"PaliGemmaBackbone: {name}: expected None, which all releases have, got {value!r}"
            )
