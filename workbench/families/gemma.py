"""Gemma 1 and 2: norms that scale by 1 + w, embeddings times sqrt(width), gated tanh GELU.

Gemma 2 adds a norm after each branch, soft caps on scores and logits, and a sliding window on
every other layer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.errors import SettingError
from workbench.families import gemma_files
from workbench.families.registry import Family
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import SentencePieceTokenizer


class GemmaBackbone(Decoder):
    """A Gemma decoder (Gemma Team 2024a, 2024b), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: twice the inner width of the feed-forward network: the sum of its two
            branches.
        head_dim: width of a head.
        query_head_dim_normalize: scale scores by head_dim ** -0.5; False scales by
            (hidden_dim / num_query_heads) ** -0.5, as Gemma 2 27B needs.
        use_post_ffw_norm: norm the feed-forward branch before it is added.
        use_post_attention_norm: norm the attention branch before it is added.
        attention_logit_soft_cap: bound on the attention scores; None for none.
        final_logit_soft_cap: bound on the output logits; None for none.
        use_sliding_window_attention: even layers see only the last sliding_window_size keys.
        sliding_window_size: keys a query sees there, itself included.
        layer_norm_epsilon: epsilon of every norm.
        dropout: rate after each branch in training.
        dtype: Keras dtype policy.
        query_pre_attn_scalar: scale scores by this ** -0.5 and ignore
            query_head_dim_normalize; for Transformers configs with another value. KerasHub has no
            such argument.

    Raises:
        SettingError: an argument is impossible.
    """

    own_arguments: ClassVar[dict[str, Any]] = {"query_pre_attn_scalar": None}

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_query_heads: int,
        num_key_value_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        head_dim: int,
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
        super().__init__(
            decoder_config(
                "GemmaBackbone",
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
            ),
            dtype=dtype,
            **kwargs,
        )


def decoder_config(
    owner: str,
    *,
    vocabulary_size: int,
    num_layers: int,
    num_query_heads: int,
    num_key_value_heads: int,
    hidden_dim: int,
    intermediate_dim: int,
    head_dim: int,
    query_head_dim_normalize: bool,
    use_post_ffw_norm: bool,
    use_post_attention_norm: bool,
    attention_logit_soft_cap: float | None,
    final_logit_soft_cap: float | None,
    use_sliding_window_attention: bool,
    sliding_window_size: int,
    layer_norm_epsilon: float,
    dropout: float,
    query_pre_attn_scalar: float | None,
) -> config.DecoderConfig:
    """Return the decoder of Gemma 1 or 2; `owner` names the backbone in errors."""
    widths = (num_query_heads, head_dim, hidden_dim)
    scaled_width = gemma_files.check_scores_width(
        owner, *widths, query_head_dim_normalize, query_pre_attn_scalar
    )
    config.check_size(owner, "intermediate_dim", intermediate_dim)
    if intermediate_dim % 2:
        raise SettingError(
            f"{owner}: intermediate_dim: expected an even number, both branches together, "
            f"got {intermediate_dim}"
        )
    full = config.LayerSpec(
        post_attention_norm=use_post_attention_norm, post_mlp_norm=use_post_ffw_norm
    )
    sliding = replace(full, window=sliding_window_size) if use_sliding_window_attention else full
    return config.DecoderConfig(
        vocabulary_size=vocabulary_size,
        width=hidden_dim,
        layers=tuple(
            full if i % 2 else sliding for i in range(config.layer_count(owner, num_layers))
        ),
        position=config.Rope(),
        norm=config.RMSNorm(layer_norm_epsilon, offset=1.0),
        attention=config.Attention(
            num_query_heads,
            num_key_value_heads,
            head_dim,
            scale=scaled_width**-0.5,
            soft_cap=attention_logit_soft_cap,
        ),
        mlp=config.Gated(intermediate_dim // 2, "gelu_tanh"),
        scale_embedding=True,
        final_soft_cap=final_logit_soft_cap,
        dropout=dropout,
    )


class GemmaTokenizer(SentencePieceTokenizer):
    """Gemma's SentencePiece tokenizer."""

    start_token = "<bos>"
    end_token = "<eos>"
    pad_token = "<pad>"
    extra_stop_tokens = ("<end_of_turn>",)


class GemmaCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Gemma's ids and back."""

    tokenizer_cls = GemmaTokenizer


class GemmaCausalLM(CausalLM):
    """Gemma as a causal language model; samples greedily by default."""

    backbone_cls = GemmaBackbone
    preprocessor_cls = GemmaCausalLMPreprocessor
    default_sampler = "greedy"


_SHARED = {
    "backbone": GemmaBackbone,
    "tokenizer": GemmaTokenizer,
    "preprocessor": GemmaCausalLMPreprocessor,
    "causal_lm": GemmaCausalLM,
    "keras_hub_rules": gemma_files.KERAS_HUB_RULES,
}

FAMILIES = tuple(
    Family(name=files.model_type, transformers=files, gguf=gguf, **_SHARED)
    for files, gguf in (
        (gemma_files.FORMAT, gemma_files.GGUF),
        (gemma_files.FORMAT_2, gemma_files.GGUF_2),
        (gemma_files.FORMAT_VAULT, None),
    )
)
