"""OLMo 2: Llama with norms after the branches, and with norms of queries and keys over all heads.

KerasHub has no such family. We write its files in KerasHub's style: Llama's layers under the
family's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.families import decoders, llama, qwen3
from workbench.families.registry import Family
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import LLAMA3_PATTERN, BytePairTokenizer


class Olmo2Backbone(Decoder):
    """An OLMo 2 decoder (Walsh et al. 2024).

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads; the head width is hidden_dim / num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_factor: divisor of the positions.
        layer_norm_epsilon: epsilon of every norm.
        dropout: rate in each branch in training, before its norm.
        dtype: Keras dtype policy.
        tie_word_embeddings: project to logits with the token table itself.

    Raises:
        SettingError: an argument is impossible.
    """

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_query_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        num_key_value_heads: int,
        rope_max_wavelength: float = 500_000,
        rope_scaling_factor: float = 1.0,
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
        dtype: Any = None,
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            decoders.llama_like(
                "Olmo2Backbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                mlp=config.Gated(intermediate_dim),
                position=config.Rope(rope_max_wavelength, rope_scaling_factor),
                block=config.BranchNorm(),
                query_key_norm=True,
                norms_heads_together=True,
                layer_norm_epsilon=layer_norm_epsilon,
                tied=tie_word_embeddings,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class Olmo2Tokenizer(BytePairTokenizer):
    """OLMo 2's byte-level BPE tokenizer; `<|endoftext|>` starts a chat and ends every turn."""

    split_pattern = LLAMA3_PATTERN
    end_token = "<|endoftext|>"
    pad_token = "<|pad|>"


class Olmo2CausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to OLMo 2's ids and back."""

    tokenizer_cls = Olmo2Tokenizer


class Olmo2CausalLM(CausalLM):
    """OLMo 2 as a causal language model."""

    backbone_cls = Olmo2Backbone
    preprocessor_cls = Olmo2CausalLMPreprocessor


_HUB_DECODER = "olmo2_transformer_decoder"

KERAS_HUB_RULES = (
    *llama.hub_outer_rules("olmo2_layer_norm"),
    *llama.hub_block_rules(_HUB_DECODER),
    *qwen3.hub_head_norms(_HUB_DECODER),
)
TRANSFORMERS_RULES = (
    *llama.transformers_rules(
        attention_norm="post_attention_layernorm", mlp_norm="post_feedforward_layernorm"
    ),
    *qwen3.HEAD_NORMS,
)
_GGUF_NORMS = {
    gguf_rules.OURS + "attention_norm": gguf_rules.THEIRS + "post_attention_norm",
    gguf_rules.OURS + "mlp_norm": gguf_rules.THEIRS + "post_ffw_norm",
    "final_norm": "output_norm",
    **gguf_rules.HEAD_NORMS,
}


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    heads = settings.take("num_key_value_heads", arguments["num_query_heads"])
    rope = llama.linear_rope(settings.rope(), "rope_scaling_factor")
    return {"num_key_value_heads": heads, **rope}


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    heads = {"num_key_value_heads": arguments["num_key_value_heads"]}
    return heads | llama.linear_rope_config(arguments, "rope_scaling_factor")


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read the arguments. OLMo 3 has the same architecture name with windows, which are refused."""
    arguments = gguf_decoder.rms_decoder(settings)
    gguf_decoder.equal_heads(settings, arguments)
    tied = {"tie_word_embeddings": gguf_decoder.is_tied(settings)}
    return {**arguments, **gguf_decoder.linear_rope(settings), **tied}


FAMILIES = (
    Family(
        name="olmo2",
        backbone=Olmo2Backbone,
        tokenizer=Olmo2Tokenizer,
        preprocessor=Olmo2CausalLMPreprocessor,
        causal_lm=Olmo2CausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("olmo2", gguf_rules.llama_like(norms=_GGUF_NORMS), _read_gguf),
        transformers=Transformers(
            model_type="olmo2",
            architecture="Olmo2ForCausalLM",
            rules=TRANSFORMERS_RULES,
            keys={**llama.KEYS, "tie_word_embeddings": "tie_word_embeddings"},
            defaults={"rms_norm_eps": 1e-5, "tie_word_embeddings": False},
            fixed={"hidden_act": ("silu",), "attention_bias": (False,)},
            read=_read,
            write=_write,
            harmless=("max_position_embeddings",),
        ),
    ),
)
