"""Llama 2, Llama 3 to 3.2, Vicuna, TinyLlama: RMSNorm, rotary positions, gated SiLU network.

Two families that differ only in the tokenizer: SentencePiece up to Llama 2, byte-level BPE since
    Llama 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Rule, either
from workbench.errors import SettingError
from workbench.families import decoders
from workbench.families.registry import Family
from workbench.families.shared_rules import HEADS, MERGED, OURS, tied_head
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings, fit_llama3
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import BytePairTokenizer, SentencePieceTokenizer
from workbench.tokenizers.patterns import LLAMA3_PATTERN


class LlamaBackbone(Decoder):
    """A Llama decoder (Touvron et al. 2023; rope scaling from Llama 3.1).

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads; the head width is hidden_dim / num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        rope_max_wavelength: base of the rotary frequencies.
        rope_position_scaling_factor: divisor of the positions.
        rope_frequency_adjustment_factor: Llama 3.1's factor; set together with the three below.
        rope_low_freq_factor: longer wavelengths than rope_pretraining_sequence_length / this are
            stretched.
        rope_high_freq_factor: shorter wavelengths than rope_pretraining_sequence_length / this are
            kept.
        rope_pretraining_sequence_length: context length before stretching.
        layer_norm_epsilon: epsilon of every norm.
        dropout: rate after each branch in training.
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
        rope_max_wavelength: float = 10_000,
        rope_position_scaling_factor: float = 1.0,
        rope_frequency_adjustment_factor: float | None = None,
        rope_low_freq_factor: float | None = None,
        rope_high_freq_factor: float | None = None,
        rope_pretraining_sequence_length: int | None = None,
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0,
        dtype: Any = None,
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        scaling = (
            rope_frequency_adjustment_factor,
            rope_low_freq_factor,
            rope_high_freq_factor,
            rope_pretraining_sequence_length,
        )
        super().__init__(
            decoders.llama_like(
                "LlamaBackbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                mlp=config.Gated(intermediate_dim),
                position=config.Rope(
                    rope_max_wavelength, rope_position_scaling_factor, _llama3_scaling(scaling)
                ),
                layer_norm_epsilon=layer_norm_epsilon,
                tied=tie_word_embeddings,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


def _llama3_scaling(values: tuple[Any, ...]) -> config.Llama3Scaling | None:
    given = [value is not None for value in values]
    if any(given) and not all(given):
        raise SettingError(
            "LlamaBackbone: rope_frequency_adjustment_factor, rope_low_freq_factor, "
            "rope_high_freq_factor and rope_pretraining_sequence_length: expected all or none, "
            f"got {values}"
        )
    return config.Llama3Scaling(*values) if all(given) else None


class LlamaTokenizer(SentencePieceTokenizer):
    """Llama 2's SentencePiece tokenizer."""

    start_token = "<s>"
    end_token = "</s>"


class LlamaCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Llama's ids and back."""

    tokenizer_cls = LlamaTokenizer


class LlamaCausalLM(CausalLM):
    """Llama as a causal language model."""

    backbone_cls = LlamaBackbone
    preprocessor_cls = LlamaCausalLMPreprocessor


class Llama3Backbone(LlamaBackbone):
    """Llama 3: the Llama decoder under its own name."""


class Llama3Tokenizer(BytePairTokenizer):
    """Llama 3's byte-level BPE tokenizer; a chat's turn ends with `end_token2`."""

    split_pattern = LLAMA3_PATTERN
    ignore_merges = True
    start_token = "<|begin_of_text|>"
    end_token = "<|end_of_text|>"
    end_token2 = "<|eot_id|>"
    extra_special_tokens = ("<|start_header_id|>", "<|end_header_id|>")


class Llama3CausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Llama 3's ids and back."""

    tokenizer_cls = Llama3Tokenizer


class Llama3CausalLM(CausalLM):
    """Llama 3 as a causal language model."""

    backbone_cls = Llama3Backbone
    preprocessor_cls = Llama3CausalLMPreprocessor


def hub_block_rules(decoder: str) -> tuple[Rule, ...]:
    """Return rules for the blocks of KerasHub's Llama-like models, whose layer names contain the
    family."""
    block = f"layers/{decoder}{{_i}}/"
    attention = block + "_self_attention_layer/"
    return (
        Rule(OURS + "attention_norm/scale", block + "_self_attention_layernorm/vars/0"),
        Rule(OURS + "attention/query/kernel", attention + "_query_dense/vars/0", "hkd -> dhk"),
        Rule(OURS + "attention/key/kernel", attention + "_key_dense/vars/0", "hkd -> dhk"),
        Rule(OURS + "attention/value/kernel", attention + "_value_dense/vars/0", "hkd -> dhk"),
        Rule(OURS + "attention/output/kernel", attention + "_output_dense/vars/0", "dhk -> hkd"),
        Rule(OURS + "mlp_norm/scale", block + "_feedforward_layernorm/vars/0"),
        Rule(OURS + "mlp/gate/kernel", block + "_feedforward_gate_dense/vars/0", "fd -> df"),
        Rule(OURS + "mlp/up/kernel", block + "_feedforward_intermediate_dense/vars/0", "fd -> df"),
        Rule(OURS + "mlp/down/kernel", block + "_feedforward_output_dense/vars/0", "df -> fd"),
    )


def hub_outer_rules(final_norm: str) -> tuple[Rule, ...]:
    """Return rules for the layers around the blocks of KerasHub's Llama-like models."""
    return (
        Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
        Rule("token_embedding/reverse_embeddings", "layers/reversible_embedding/vars/1"),
        Rule("final_norm/scale", f"layers/{final_norm}/vars/0"),
    )


KERAS_HUB_RULES = (
    *hub_outer_rules("llama_layer_norm"),
    *hub_block_rules("llama_transformer_decoder"),
)


def theirs(name: str) -> tuple[str, str]:
    """Return a tensor's names in a Transformers file."""
    return either("model.", name)


LAYER = "layers.{i}."
_ATTENTION = LAYER + "self_attn."


def transformers_rules(
    *, attention_norm: str = "input_layernorm", mlp_norm: str = "post_attention_layernorm"
) -> tuple[Rule, ...]:
    """Return rules for a Llama-like model; the two norms of a block have these names."""
    return (
        Rule("token_embedding/embeddings", theirs("embed_tokens.weight")),
        tied_head("dv -> vd"),
        Rule(OURS + "attention_norm/scale", theirs(f"{LAYER}{attention_norm}.weight")),
        Rule(OURS + "attention/query/kernel", theirs(_ATTENTION + "q_proj.weight"), HEADS),
        Rule(OURS + "attention/key/kernel", theirs(_ATTENTION + "k_proj.weight"), HEADS),
        Rule(OURS + "attention/value/kernel", theirs(_ATTENTION + "v_proj.weight"), HEADS),
        Rule(OURS + "attention/output/kernel", theirs(_ATTENTION + "o_proj.weight"), MERGED),
        Rule(OURS + "mlp_norm/scale", theirs(f"{LAYER}{mlp_norm}.weight")),
        Rule(OURS + "mlp/gate/kernel", theirs(LAYER + "mlp.gate_proj.weight")),
        Rule(OURS + "mlp/up/kernel", theirs(LAYER + "mlp.up_proj.weight")),
        Rule(OURS + "mlp/down/kernel", theirs(LAYER + "mlp.down_proj.weight")),
        Rule("final_norm/scale", theirs("norm.weight")),
    )


TRANSFORMERS_RULES = transformers_rules()

# The names of Llama 3.1's settings in Transformers and in KerasHub.
_SCALING = {
    "factor": "rope_frequency_adjustment_factor",
    "low_freq_factor": "rope_low_freq_factor",
    "high_freq_factor": "rope_high_freq_factor",
    "original_max_position_embeddings": "rope_pretraining_sequence_length",
}


def linear_rope(rope: Mapping[str, Any], factor: str) -> dict[str, Any]:
    """Return rotary settings without Llama 3.1's rule; `factor` names the linear scaling
    argument."""
    return {"rope_max_wavelength": rope["rope_theta"], factor: rope.get("factor", 1.0)}


def linear_rope_config(arguments: Mapping[str, Any], factor: str) -> dict[str, Any]:
    """Invert `linear_rope`."""
    stretch = arguments[factor]
    scaling = {} if stretch == 1 else {"rope_scaling": {"rope_type": "linear", "factor": stretch}}
    return {"rope_theta": arguments["rope_max_wavelength"], **scaling}


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    heads, width = arguments["num_query_heads"], arguments["hidden_dim"]
    settings.expect("head_dim", config.head_width("config.json", width, heads))
    rope = settings.rope(kinds=("default", "linear", "llama3"))
    found = {"num_key_value_heads": settings.take("num_key_value_heads", heads)}
    if rope["rope_type"] == "llama3":
        scaling = {ours: rope[theirs] for theirs, ours in _SCALING.items()}
        return {**found, "rope_max_wavelength": rope["rope_theta"], **scaling}
    return found | linear_rope(rope, "rope_position_scaling_factor")


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    found = {"num_key_value_heads": arguments["num_key_value_heads"]}
    if arguments["rope_frequency_adjustment_factor"] is None:
        return found | linear_rope_config(arguments, "rope_position_scaling_factor")
    scaling = {theirs: arguments[ours] for theirs, ours in _SCALING.items()}
    theta = arguments["rope_max_wavelength"]
    return {**found, "rope_theta": theta, "rope_scaling": {"rope_type": "llama3", **scaling}}


# Settings that Llama and its descendants share.
KEYS = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_query_heads",
    "hidden_size": "hidden_dim",
    "intermediate_size": "intermediate_dim",
    "rms_norm_eps": "layer_norm_epsilon",
}


def _is_byte_level(values: Mapping[str, Any], folder: Path) -> bool:
    """Return whether the folder's tokenizer is Llama 3's kind: both have `model_type: llama`."""
    file = folder / "tokenizer.json"
    return file.is_file() and b'"ByteLevel"' in file.read_bytes()


TRANSFORMERS = Transformers(
    model_type="llama",
    architecture="LlamaForCausalLM",
    rules=TRANSFORMERS_RULES,
    keys={**KEYS, "tie_word_embeddings": "tie_word_embeddings"},
    defaults={"rms_norm_eps": 1e-6, "tie_word_embeddings": False},
    fixed={"hidden_act": ("silu",)},
    read=_read,
    write=_write,
    harmless=("max_position_embeddings",),
    ignored=("model.layers.{i}.self_attn.rotary_emb.inv_freq",),
)

ROPE_FREQUENCIES = "rope_freqs.weight"


def read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments; such files have no sliding window."""
    arguments = gguf_decoder.rms_decoder(settings)
    head_dim = gguf_decoder.equal_heads(settings, arguments)
    gguf_decoder.expect_dense(settings)
    rope = gguf_decoder.linear_rope(settings, "rope_position_scaling_factor")
    return {
        **arguments,
        **rope,
        **_gguf_scaling(settings, rope["rope_max_wavelength"], head_dim),
        "tie_word_embeddings": gguf_decoder.is_tied(settings),
    }


def _gguf_scaling(settings: GgufSettings, theta: float, head_dim: int) -> dict[str, Any]:
    if ROPE_FREQUENCIES not in settings.tensors:
        return {}
    factors = settings.vector(ROPE_FREQUENCIES, head_dim // 2)
    found = fit_llama3(factors, theta, head_dim)
    if found is None:
        raise settings.error(ROPE_FREQUENCIES, "divisors of Llama 3.1's rule", "others")
    return dict(zip(_SCALING.values(), (found[0], 1.0, 4.0, found[1]), strict=True))


def _is_llama(settings: GgufSettings) -> bool:
    """Return whether the file is Llama's, the most general of four families with the name
    "llama"."""
    width, heads = settings.count("embedding_length"), settings.count("attention.head_count")
    even = settings.count("attention.key_length") * heads in (0, width)
    return gguf_decoder.is_dense(settings) and even


GGUF_RULES = gguf_rules.llama_like(interleaved=True)
GGUF = Gguf("llama", GGUF_RULES, read_gguf, ignored=(ROPE_FREQUENCIES,), match=_is_llama)

FAMILIES = (
    Family(
        name="llama3",
        backbone=Llama3Backbone,
        tokenizer=Llama3Tokenizer,
        preprocessor=Llama3CausalLMPreprocessor,
        causal_lm=Llama3CausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        transformers=replace(TRANSFORMERS, match=_is_byte_level),
        gguf=replace(GGUF, match=lambda file: _is_llama(file) and file.tokenizer == "gpt2"),
    ),
    Family(
        name="llama",
        backbone=LlamaBackbone,
        tokenizer=LlamaTokenizer,
        preprocessor=LlamaCausalLMPreprocessor,
        causal_lm=LlamaCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        transformers=TRANSFORMERS,
        gguf=GGUF,
    ),
)
