"""Gemma 1 and 2: norms that scale by 1 + w, embeddings times sqrt(width), gated tanh GELU.

Gemma 2 adds a norm after each branch, soft caps on scores and logits, and a sliding window on
every other layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Rule
from workbench.errors import PresetError, SettingError
from workbench.families import llama
from workbench.families.registry import Family
from workbench.families.shared_rules import OURS
from workbench.formats import gguf_configs
from workbench.formats.settings import Settings
from workbench.formats.transformers_config import Transformers
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
        intermediate_dim: twice the inner width of the feed-forward network: its two branches
            together.
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
        query_pre_attn_scalar: scale scores by this ** -0.5, whatever query_head_dim_normalize
            says; for Transformers configs with a value of their own. Not an argument of
            KerasHub's.

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
    """Gemma 1's or 2's decoder; `owner` names the backbone in errors."""
    widths = (num_query_heads, head_dim, hidden_dim)
    scaled_width = check_scores_width(
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


def check_scores_width(
    owner: str,
    heads: Any,
    head_dim: Any,
    hidden_dim: Any,
    by_head: bool,
    scalar: float | None,
) -> float:
    """The number whose square root divides the scores, its parts checked."""
    config.check_size(owner, "num_query_heads", heads, 2**16)
    config.check_size(owner, "head_dim", head_dim, 2**16)
    config.check_size(owner, "hidden_dim", hidden_dim)
    if scalar is not None:
        config.check_positive(owner, "query_pre_attn_scalar", scalar)
        return scalar
    return head_dim if by_head else hidden_dim / heads


class GemmaTokenizer(SentencePieceTokenizer):
    """Gemma's SentencePiece tokenizer."""

    start_token = "<bos>"
    end_token = "<eos>"
    pad_token = "<pad>"
    extra_stop_tokens = ("<end_of_turn>",)


class GemmaCausalLMPreprocessor(CausalLMPreprocessor):
    """Strings to Gemma's ids and back."""

    tokenizer_cls = GemmaTokenizer


class GemmaCausalLM(CausalLM):
    """Gemma as a causal language model; samples greedily unless told otherwise."""

    backbone_cls = GemmaBackbone
    preprocessor_cls = GemmaCausalLMPreprocessor
    default_sampler = "greedy"


_HUB = "layers/gemma_decoder_block{_i}/"

KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    Rule(OURS + "attention_norm/scale", _HUB + "pre_attention_norm/vars/0"),
    Rule(OURS + "attention/query/kernel", _HUB + "attention/query_dense/vars/0", "hkd -> hdk"),
    Rule(OURS + "attention/key/kernel", _HUB + "attention/key_dense/vars/0", "hkd -> hdk"),
    Rule(OURS + "attention/value/kernel", _HUB + "attention/value_dense/vars/0", "hkd -> hdk"),
    Rule(OURS + "attention/output/kernel", _HUB + "attention/output_dense/vars/0", "dhk -> hkd"),
    Rule(OURS + "post_attention_norm/scale", _HUB + "post_attention_norm/vars/0"),
    Rule(OURS + "mlp_norm/scale", _HUB + "pre_ffw_norm/vars/0"),
    Rule(OURS + "mlp/gate/kernel", _HUB + "gating_ffw/vars/0", "fd -> df", einsum=True),
    Rule(OURS + "mlp/up/kernel", _HUB + "gating_ffw_2/vars/0", "fd -> df", einsum=True),
    Rule(OURS + "mlp/down/kernel", _HUB + "ffw_linear/vars/0", "df -> fd", einsum=True),
    Rule(OURS + "post_mlp_norm/scale", _HUB + "post_ffw_norm/vars/0"),
    Rule("final_norm/scale", "layers/rms_normalization/vars/0"),
)


# Transformers names Gemma 1's tensors as Llama's. In Gemma 2 one of the names means another norm.
TRANSFORMERS_RULES = llama.TRANSFORMERS_RULES
_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "post_mlp_norm": "post_feedforward_layernorm",
}
TRANSFORMERS_RULES_2 = (
    *(rule for rule in TRANSFORMERS_RULES if rule.ours != OURS + "mlp_norm/scale"),
    *(
        Rule(f"{OURS}{ours}/scale", llama.theirs(f"{llama.LAYER}{theirs}.weight"))
        for ours, theirs in _NORMS.items()
    ),
)


KEYS = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_query_heads",
    "num_key_value_heads": "num_key_value_heads",
    "hidden_size": "hidden_dim",
    "head_dim": "head_dim",
    "rms_norm_eps": "layer_norm_epsilon",
}
CAPPED = {
    "attn_logit_softcapping": "attention_logit_soft_cap",
    "final_logit_softcapping": "final_logit_soft_cap",
}


def _read(settings: Settings, arguments: dict[str, Any]) -> dict[str, Any]:
    rope = settings.rope()
    if rope != {"rope_theta": 10_000.0, "rope_type": "default"}:
        raise PresetError.at("config.json", "rope_parameters", "theta 10000, unscaled", rope)
    return {"intermediate_dim": 2 * settings.take("intermediate_size")}


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"intermediate_size": arguments["intermediate_dim"] // 2, "rope_theta": 10_000.0}


def _windows(num_layers: Any) -> list[str]:
    """The kinds of the layers: every other one sees a window only."""
    count = config.layer_count("config.json", num_layers)
    return (["sliding_attention", "full_attention"] * count)[:count]


def _read_windowed(settings: Settings, arguments: dict[str, Any]) -> dict[str, Any]:
    settings.expect("layer_types", _windows(arguments["num_layers"]))
    window = settings.take("sliding_window")
    settings.expect("sliding_window_size", window)  # some releases say it twice
    return _read(settings, arguments) | {
        **scale_arguments(settings.take("query_pre_attn_scalar"), arguments),
        **{ours: settings.take(theirs, None) for theirs, ours in CAPPED.items()},
        "use_sliding_window_attention": True,
        "sliding_window_size": window,
    }


def _write_windowed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return _write(arguments) | {
        "layer_types": _windows(arguments["num_layers"]),
        "query_pre_attn_scalar": scores_width(arguments),
        **{theirs: arguments[ours] for theirs, ours in CAPPED.items()},
        "sliding_window": arguments["sliding_window_size"],
    }


def _windowed(arguments: Mapping[str, Any], normed: bool) -> bool:
    """Whether a backbone has windows and, or but not, the norms after its branches."""
    norms = {arguments["use_post_ffw_norm"], arguments["use_post_attention_norm"]}
    return arguments["use_sliding_window_attention"] and norms == {normed}


def _read_2(settings: Settings, arguments: dict[str, Any]) -> dict[str, Any]:
    normed = {"use_post_ffw_norm": True, "use_post_attention_norm": True}
    return _read_windowed(settings, arguments) | normed


def scale_arguments(scalar: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Scores are divided by sqrt(scalar): in every release, one of two widths."""
    if scalar == arguments["head_dim"]:
        return {"query_head_dim_normalize": True}
    if scalar == arguments["hidden_dim"] / arguments["num_query_heads"]:
        return {"query_head_dim_normalize": False}
    return {"query_pre_attn_scalar": scalar}


def scores_width(arguments: Mapping[str, Any]) -> float:
    """The number whose square root divides the scores of a backbone of these arguments."""
    names = ("num_query_heads", "head_dim", "hidden_dim", "query_head_dim_normalize")
    scalar = arguments.get("query_pre_attn_scalar")
    return check_scores_width("config.json", *(arguments[name] for name in names), scalar)


FORMAT = Transformers(
    model_type="gemma",
    architecture="GemmaForCausalLM",
    rules=TRANSFORMERS_RULES,
    keys=KEYS,
    defaults={"rms_norm_eps": 1e-6},
    # Early files say "gelu" and mean its tanh form.
    fixed={
        "hidden_act": ("gelu_pytorch_tanh", "gelu"),
        "hidden_activation": ("gelu_pytorch_tanh",),
        "tie_word_embeddings": (True,),
    },
    read=_read,
    write=_write,
    harmless=("max_position_embeddings", "cache_implementation"),
    tokenizer_class="GemmaTokenizer",
    writes=lambda arguments: not arguments["use_sliding_window_attention"],
)
FORMAT_2 = replace(
    FORMAT,
    model_type="gemma2",
    architecture="Gemma2ForCausalLM",
    rules=TRANSFORMERS_RULES_2,
    fixed={**FORMAT.fixed, "hidden_act": ("gelu_pytorch_tanh",)},
    read=_read_2,
    write=_write_windowed,
    writes=lambda arguments: _windowed(arguments, normed=True),
)
# VaultGemma is Gemma 2 without the norms after each branch.
_FORMAT_VAULT = replace(
    FORMAT_2,
    model_type="vaultgemma",
    architecture="VaultGemmaForCausalLM",
    rules=tuple(rule for rule in TRANSFORMERS_RULES_2 if "post_" not in rule.ours),
    read=_read_windowed,
    writes=lambda arguments: _windowed(arguments, normed=False),
)

_SHARED = {
    "backbone": GemmaBackbone,
    "tokenizer": GemmaTokenizer,
    "preprocessor": GemmaCausalLMPreprocessor,
    "causal_lm": GemmaCausalLM,
    "keras_hub_rules": KERAS_HUB_RULES,
}

FAMILIES = tuple(
    Family(name=files.model_type, transformers=files, gguf=gguf, **_SHARED)
    for files, gguf in (
        (FORMAT, gguf_configs.GEMMA),
        (FORMAT_2, gguf_configs.GEMMA2),
        (_FORMAT_VAULT, None),
    )
)
