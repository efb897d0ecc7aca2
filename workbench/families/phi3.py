"""Phi-3: Llama whose Transformers files fuse projections, with longrope for 128k tokens.

The 4k releases see a window of 2,047 keys in Transformers, which KerasHub's files cannot say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Part, Rule
from workbench.errors import SettingError
from workbench.families import llama
from workbench.families.registry import Family
from workbench.families.shared_rules import HEADS, OURS
from workbench.formats import gguf_configs
from workbench.formats.settings import Settings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import SentencePieceTokenizer


class Phi3Backbone(Decoder):
    """A Phi-3 decoder (Abdin et al. 2024), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        num_query_heads: attention heads; the head width is hidden_dim / num_query_heads.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        layer_norm_epsilon: epsilon of every norm.
        dropout: rate after each branch in training.
        max_sequence_length: context length after stretching.
        pretraining_sequence_length: context length before stretching. A generation that will stay
            within it uses the short factors, any other the long ones, for its whole length.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_type: None, or "su" for longrope with the two lists of factors.
        rope_scaling_short_factor: head width / 2 factors.
        rope_scaling_long_factor: head width / 2 factors.
        dtype: Keras dtype policy.
        sliding_window: keys a query sees, itself included; None for all. Not an argument of
            KerasHub's.

    Raises:
        SettingError: an argument is impossible.
    """

    own_arguments: ClassVar[dict[str, Any]] = {"sliding_window": None}

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        hidden_dim: int,
        intermediate_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
        max_sequence_length: int = 4096,
        pretraining_sequence_length: int = 4096,
        rope_max_wavelength: float = 10_000,
        rope_scaling_type: str | None = None,
        rope_scaling_short_factor: list[float] | None = None,
        rope_scaling_long_factor: list[float] | None = None,
        dtype: Any = None,
        sliding_window: int | None = None,
        **kwargs: Any,
    ) -> None:
        lengths = (pretraining_sequence_length, max_sequence_length)
        factors = (rope_scaling_short_factor, rope_scaling_long_factor)
        scaling = _scaling(rope_scaling_type, factors, lengths)
        head_dim = config.head_width("Phi3Backbone", hidden_dim, num_query_heads)
        layer = config.LayerSpec(window=sliding_window)
        super().__init__(
            config.DecoderConfig(
                vocabulary_size=vocabulary_size,
                width=hidden_dim,
                layers=(layer,) * config.layer_count("Phi3Backbone", num_layers),
                position=config.Rope(rope_max_wavelength, scaling=scaling),
                norm=config.RMSNorm(layer_norm_epsilon),
                attention=config.Attention(
                    num_query_heads, num_key_value_heads, head_dim, scale=head_dim**-0.5
                ),
                mlp=config.Gated(intermediate_dim, "silu"),
                tied=False,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


def _scaling(
    kind: Any, factors: tuple[Any, Any], lengths: tuple[Any, Any]
) -> config.LongScaling | None:
    if kind is None:
        return None
    if kind != "su" or not all(isinstance(part, list | tuple) for part in factors):
        raise SettingError(
            "Phi3Backbone: rope_scaling_type: expected None, or 'su' with lists as "
            f"rope_scaling_short_factor and rope_scaling_long_factor, got {kind!r} with "
            f"{', '.join(type(part).__name__ for part in factors)}"
        )
    return config.LongScaling(*map(tuple, factors), *lengths)


class Phi3Tokenizer(SentencePieceTokenizer):
    """Phi-3's SentencePiece tokenizer; a chat's turn ends with `<|end|>`."""

    start_token = "<s>"
    end_token = "<|endoftext|>"
    extra_stop_tokens = ("<|end|>", "<|assistant|>")
    marks_take_space = True


class Phi3CausalLMPreprocessor(CausalLMPreprocessor):
    """Strings to Phi-3's ids and back."""

    tokenizer_cls = Phi3Tokenizer


class Phi3CausalLM(CausalLM):
    """Phi-3 as a causal language model."""

    backbone_cls = Phi3Backbone
    preprocessor_cls = Phi3CausalLMPreprocessor


_HUB = "layers/phi3_decoder{_i}/"

KERAS_HUB_RULES = (
    *llama.hub_outer_rules("phi3_layer_norm"),
    Rule(OURS + "attention_norm/scale", _HUB + "pre_attention_layernorm/vars/0"),
    Rule(OURS + "attention/query/kernel", _HUB + "attention/query_dense/vars/0", "hkd -> dhk"),
    Rule(OURS + "attention/key/kernel", _HUB + "attention/key_dense/vars/0", "hkd -> dhk"),
    Rule(OURS + "attention/value/kernel", _HUB + "attention/value_dense/vars/0", "hkd -> dhk"),
    Rule(OURS + "attention/output/kernel", _HUB + "attention/output_dense/vars/0", "dhk -> hkd"),
    Rule(OURS + "mlp_norm/scale", _HUB + "post_attention_layernorm/vars/0"),
    Rule(OURS + "mlp/gate/kernel", _HUB + "feedforward_gate_dense/vars/0", "fd -> df"),
    Rule(OURS + "mlp/up/kernel", _HUB + "feedforward_intermediate_dense/vars/0", "fd -> df"),
    Rule(OURS + "mlp/down/kernel", _HUB + "feedforward_output_dense/vars/0", "df -> fd"),
)


def transformers_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Queries, keys and values are rows of one matrix, gate and up of another."""
    heads, groups = arguments["num_query_heads"], arguments["num_key_value_heads"]
    every = heads + 2 * groups
    bounds = {
        "query": (0, heads),
        "key": (heads, heads + groups),
        "value": (heads + groups, every),
    }
    qkv = llama.theirs(llama.LAYER + "self_attn.qkv_proj.weight")
    both = llama.theirs(llama.LAYER + "mlp.gate_up_proj.weight")
    return (
        *(rule for rule in llama.TRANSFORMERS_RULES if not rule.ours.endswith(_FUSED)),
        *(
            Rule(f"{OURS}attention/{name}/kernel", qkv, HEADS, part=Part(*bound, every))
            for name, bound in bounds.items()
        ),
        Rule(OURS + "mlp/gate/kernel", both, part=Part(0, 1, 2)),
        Rule(OURS + "mlp/up/kernel", both, part=Part(1, 2, 2)),
    )


_FUSED = tuple(f"/{name}/kernel" for name in ("query", "key", "value", "gate", "up"))


def _read(settings: Settings, arguments: dict[str, Any]) -> dict[str, Any]:
    original = settings.take("original_max_position_embeddings", 4096)
    rope = settings.rope(kinds=("default", "longrope"))
    found = {
        "rope_max_wavelength": rope["rope_theta"],
        "pretraining_sequence_length": original,
        "sliding_window": settings.take("sliding_window", None),
    }
    if rope["rope_type"] == "longrope":
        found |= {f"rope_scaling_{name}": rope[name] for name in _FACTORS}
        found["rope_scaling_type"] = "su"
    return found


_FACTORS = ("short_factor", "long_factor")


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "rope_theta": arguments["rope_max_wavelength"],
        "original_max_position_embeddings": arguments["pretraining_sequence_length"],
        "sliding_window": arguments.get("sliding_window"),
    }
    if arguments["rope_scaling_type"] is not None:
        factors = {name: list(arguments[f"rope_scaling_{name}"]) for name in _FACTORS}
        found["rope_scaling"] = {"rope_type": "longrope", **factors}
    return found


FAMILIES = (
    Family(
        name="phi3",
        backbone=Phi3Backbone,
        tokenizer=Phi3Tokenizer,
        preprocessor=Phi3CausalLMPreprocessor,
        causal_lm=Phi3CausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=gguf_configs.PHI3,
        transformers=Transformers(
            model_type="phi3",
            architecture="Phi3ForCausalLM",
            rules=transformers_rules,
            keys={
                **llama.KEYS,
                "num_key_value_heads": "num_key_value_heads",
                "max_position_embeddings": "max_sequence_length",
            },
            defaults={"rms_norm_eps": 1e-5},
            fixed={"hidden_act": ("silu",), "tie_word_embeddings": (False,)},
            read=_read,
            write=_write,
        ),
    ),
)
