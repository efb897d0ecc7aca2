"""Gemma 3, text: Gemma 2 without caps, with a norm on every head of queries and keys, five
windowed layers to each full one, and a rotary base for either kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.families import gemma
from workbench.backbones.families.qwen3 import HEAD_NORMS
from workbench.backbones.families.shared_rules import OURS
from workbench.backbones.weights import Rule
from workbench.errors import PresetError, SettingError
from workbench.presets.formats import gguf_configs
from workbench.presets.formats.settings import Settings
from workbench.presets.registry import Family
from workbench.tasks.causal_lm import CausalLM
from workbench.tasks.preprocessor import CausalLMPreprocessor
from workbench.tokenizers import SentencePieceTokenizer, Tokenizer

LOCAL_WAVELENGTH, GLOBAL_WAVELENGTH = 10_000.0, 1_000_000.0


class Gemma3Backbone(Decoder):
    """A Gemma 3 text decoder (Gemma Team 2025), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        image_size: kept for KerasHub's files; a text model has no images.
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
            keys, and turn positions on the short wavelength.
        sliding_window_size: keys a query sees there, itself included.
        local_rope_scaling_factor: positions of windowed layers are divided by it.
        global_rope_scaling_factor: positions of the other layers are divided by it.
        vision_encoder: None; models with one are not supported yet.
        layer_norm_epsilon: epsilon of every norm.
        use_bidirectional_attention: False; embedding models are not supported.
        dropout: rate after each branch in training.
        is_embedding_model: False; embedding models are not supported.
        pooling_intermediate_dim, embedding_dim: None, as above.
        dtype: Keras dtype policy.
        query_pre_attn_scalar: scale scores by this ** -0.5, whatever query_head_dim_normalize
            says. Not an argument of KerasHub's.

    Raises:
        SettingError: an argument is impossible or not supported.
    """

    own_arguments: ClassVar[dict[str, Any]] = {"query_pre_attn_scalar": None}

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
        vision_encoder: None = None,
        layer_norm_epsilon: float = 1e-6,
        use_bidirectional_attention: bool = False,
        dropout: float = 0,
        is_embedding_model: bool = False,
        pooling_intermediate_dim: None = None,
        embedding_dim: None = None,
        dtype: Any = None,
        query_pre_attn_scalar: float | None = None,
        **kwargs: Any,
    ) -> None:
        _refuse(
            vision_encoder=vision_encoder,
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
        scaled = gemma.check_scores_width(
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
            dtype=dtype,
            **kwargs,
        )


def _refuse(**settings: Any) -> None:
    for name, value in settings.items():
        if value:
            raise SettingError(
                f"Gemma 3: {name}: only text decoders are supported: expected None or "
                f"False, got {type(value).__name__}"
            )


class Gemma3Tokenizer(SentencePieceTokenizer):
    """Gemma 3's SentencePiece tokenizer; a chat's turn ends with `<end_of_turn>`.

    `has_vision_tokens` is kept for KerasHub's files: whether the vocabulary has those of images.
    """

    start_token = "<bos>"
    end_token = "<eos>"
    pad_token = "<pad>"
    extra_stop_tokens = ("<end_of_turn>",)

    def __init__(self, *args: Any, has_vision_tokens: bool = True, **kwargs: Any) -> None:
        self.has_vision_tokens = has_vision_tokens
        super().__init__(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "has_vision_tokens": self.has_vision_tokens}


class Gemma3CausalLMPreprocessor(CausalLMPreprocessor):
    """Strings to Gemma 3's ids and back.

    `image_converter` is None; it and the two numbers about images are kept for KerasHub's files.
    """

    tokenizer_cls = Gemma3Tokenizer

    def __init__(
        self,
        tokenizer: Tokenizer,
        image_converter: None = None,
        sequence_length: int = 1024,
        add_start_token: bool = True,
        add_end_token: bool = True,
        max_images_per_prompt: int = 2,
        num_vision_tokens_per_image: int = 256,
        **kwargs: Any,
    ) -> None:
        _refuse(image_converter=image_converter)
        super().__init__(tokenizer, sequence_length, add_start_token, add_end_token, **kwargs)
        self.max_images_per_prompt = max_images_per_prompt
        self.num_vision_tokens_per_image = num_vision_tokens_per_image

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments without the tokenizer."""
        return {
            **super().get_config(),
            "image_converter": None,
            "max_images_per_prompt": self.max_images_per_prompt,
            "num_vision_tokens_per_image": self.num_vision_tokens_per_image,
        }


class Gemma3CausalLM(CausalLM):
    """Gemma 3 as a causal language model; samples greedily unless told otherwise."""

    backbone_cls = Gemma3Backbone
    preprocessor_cls = Gemma3CausalLMPreprocessor
    default_sampler = "greedy"


_HUB = "layers/gemma3_decoder_block{_i}/"

KERAS_HUB_RULES = (
    *(
        Rule(rule.ours, rule.names[0].replace("gemma_decoder", "gemma3_decoder"), rule.layout)
        for rule in gemma.KERAS_HUB_RULES
    ),
    *(
        Rule(f"{OURS}attention/{kind}_norm/scale", f"{_HUB}attention/{kind}_norm/vars/0")
        for kind in ("query", "key")
    ),
)


def _kinds(num_layers: Any) -> list[str]:
    count = config.layer_count("config.json", num_layers)
    return ["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(count)]


def _read(settings: Settings, arguments: dict[str, Any]) -> dict[str, Any]:
    settings.expect("layer_types", _kinds(arguments["num_layers"]))
    local, everywhere = _ropes(settings)
    return {
        **gemma.scale_arguments(settings.take("query_pre_attn_scalar"), arguments),
        **{ours: settings.take(theirs, None) for theirs, ours in gemma.CAPPED.items()},
        "image_size": None,
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "use_sliding_window_attention": True,
        "local_rope_scaling_factor": local.get("factor", 1.0),
        "global_rope_scaling_factor": everywhere.get("factor", 1.0),
    }


def _ropes(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rotary settings of windowed and of full layers, from files of either generation."""
    both = settings.take("rope_parameters", {})
    if both:
        local, everywhere = (
            Settings({"rope_parameters": both.get(kind)})
            for kind in ("sliding_attention", "full_attention")
        )
    else:
        local = Settings({"rope_theta": settings.take("rope_local_base_freq", None)})
        everywhere = settings
    found = local.rope(LOCAL_WAVELENGTH), everywhere.rope(GLOBAL_WAVELENGTH)
    for rope, theta in zip(found, (LOCAL_WAVELENGTH, GLOBAL_WAVELENGTH), strict=True):
        if rope["rope_theta"] != theta:
            raise PresetError.at("config.json", "rope_theta", theta, rope["rope_theta"])
    return found


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    factor = arguments["global_rope_scaling_factor"]
    scaling = None if factor == 1 else {"rope_type": "linear", "factor": factor}
    return {
        "layer_types": _kinds(arguments["num_layers"]),
        "query_pre_attn_scalar": gemma.scores_width(arguments),
        **{theirs: arguments[ours] for theirs, ours in gemma.CAPPED.items()},
        "rope_local_base_freq": LOCAL_WAVELENGTH,
        "rope_theta": GLOBAL_WAVELENGTH,
        "rope_scaling": scaling,
    }


def _is_release(arguments: Mapping[str, Any]) -> bool:
    """Whether a backbone has what all releases have, which Transformers takes for granted."""
    switches = ("query_key_norm", "post_ffw_norm", "post_attention_norm")
    normed = all(arguments[f"use_{name}"] for name in switches)
    return normed and arguments["use_sliding_window_attention"]


FAMILIES = (
    Family(
        name="gemma3",
        backbone=Gemma3Backbone,
        tokenizer=Gemma3Tokenizer,
        preprocessor=Gemma3CausalLMPreprocessor,
        causal_lm=Gemma3CausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=gguf_configs.GEMMA3,
        transformers=replace(
            gemma.FORMAT_2,
            model_type="gemma3_text",
            architecture="Gemma3ForCausalLM",
            rules=(*gemma.TRANSFORMERS_RULES_2, *HEAD_NORMS),
            keys={
                **gemma.KEYS,
                "intermediate_size": "intermediate_dim",
                "sliding_window": "sliding_window_size",
            },
            fixed={**gemma.FORMAT_2.fixed, "attention_bias": (False,)},
            read=_read,
            write=_write,
            writes=_is_release,
            harmless=(
                *gemma.FORMAT_2.harmless,
                "_sliding_window_pattern",
                "sliding_window_pattern",
            ),
        ),
    ),
)
