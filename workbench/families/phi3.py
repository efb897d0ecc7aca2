"""Phi-3: Llama with fused projections in Transformers' files, and longrope for 128k tokens.

The 4k releases see a window of 2,047 keys in Transformers; KerasHub's files cannot state this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Part, Rule
from workbench.errors import SettingError
from workbench.families import decoders, llama
from workbench.families.registry import Family
from workbench.families.shared_rules import HEADS, OURS
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
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
        pretraining_sequence_length: context length before stretching. A generation that stays
            within it uses the short factors; any other uses the long ones for its whole length.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_type: None, or "su" for longrope with the two lists of factors.
        rope_scaling_short_factor: head width / 2 factors.
        rope_scaling_long_factor: head width / 2 factors.
        dtype: Keras dtype policy.
        sliding_window: keys a query sees, itself included; None for all. KerasHub has no such
            argument.

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
        super().__init__(
            decoders.llama_like(
                "Phi3Backbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                mlp=config.Gated(intermediate_dim),
                position=config.Rope(rope_max_wavelength, scaling=scaling),
                layer=config.LayerSpec(sliding_window),
                layer_norm_epsilon=layer_norm_epsilon,
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
    short, long = map(tuple, factors)
    return config.LongScaling(short, long, *lengths)


class Phi3Tokenizer(SentencePieceTokenizer):
    """Phi-3's SentencePiece tokenizer; a chat's turn ends with `<|end|>`."""

    start_token = "<s>"
    end_token = "<|endoftext|>"
    extra_stop_tokens = ("<|end|>", "<|assistant|>")
    marks_take_space = True


class Phi3CausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Phi-3's ids and back."""

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
    """Return rules for queries, keys and values as rows of one matrix, and gate and up of
    another."""
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
            Rule(f"{OURS}attention/{name}/kernel", qkv, HEADS, part=Part(start, stop, every))
            for name, (start, stop) in bounds.items()
        ),
        Rule(OURS + "mlp/gate/kernel", both, part=Part(0, 1, 2)),
        Rule(OURS + "mlp/up/kernel", both, part=Part(1, 2, 2)),
    )


_FUSED = tuple(f"/{name}/kernel" for name in ("query", "key", "value", "gate", "up"))


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
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


_SHORT_FACTORS, _LONG_FACTORS = "rope_factors_short.weight", "rope_factors_long.weight"


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments; a file with the two tensors of factors uses longrope."""
    arguments = gguf_decoder.rms_decoder(settings)
    head_dim = gguf_decoder.equal_heads(settings, arguments)
    longest = settings.take("context_length")
    arguments |= {
        "max_sequence_length": longest,
        "pretraining_sequence_length": settings.take(
            "rope.scaling.original_context_length", longest
        ),
        "rope_max_wavelength": settings.take("rope.freq_base", 10_000.0),
        "sliding_window": settings.take("attention.sliding_window", 0) or None,
    }
    settings.expect("rope.scaling.type", "longrope", "none")
    # It follows from the two lengths.
    settings.take("rope.scaling.attn_factor", None)
    if _LONG_FACTORS in settings.tensors:
        arguments |= {
            "rope_scaling_type": "su",
            "rope_scaling_short_factor": _factors(settings, _SHORT_FACTORS, head_dim),
            "rope_scaling_long_factor": _factors(settings, _LONG_FACTORS, head_dim),
        }
    return arguments


def _factors(settings: GgufSettings, name: str, head_dim: int) -> list[float]:
    return [float(str(factor)) for factor in settings.vector(name, head_dim // 2)]


def _gguf_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return rules for gate and up as halves of one tensor."""
    return (
        *gguf_rules.EMBEDDING,
        *gguf_rules.HEAD,
        *gguf_rules.scales(gguf_rules.NORMS),
        *gguf_rules.fused(arguments["num_query_heads"], arguments["num_key_value_heads"]),
        *gguf_rules.OUTPUT,
        gguf_rules.kernel("mlp/gate", "ffn_up", part=Part(0, 1, 2)),
        gguf_rules.kernel("mlp/up", "ffn_up", part=Part(1, 2, 2)),
        gguf_rules.kernel("mlp/down", "ffn_down"),
    )


_GGUF = Gguf("phi3", _gguf_rules, _read_gguf, ignored=(_SHORT_FACTORS, _LONG_FACTORS))

FAMILIES = (
    Family(
        name="phi3",
        backbone=Phi3Backbone,
        tokenizer=Phi3Tokenizer,
        preprocessor=Phi3CausalLMPreprocessor,
        causal_lm=Phi3CausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=_GGUF,
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
