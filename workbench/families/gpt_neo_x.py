"""GPT-NeoX and Pythia: rotary positions on a part of each head, both branches on one input.

KerasHub has only tied models with tanh GELU and parallel branches; our own arguments select the
rest, which includes Pythia.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Part, Rule, either
from workbench.errors import SettingError
from workbench.families import decoders
from workbench.families.registry import Family
from workbench.families.shared_rules import (
    MERGED,
    OURS,
    fused_heads,
    hub_norm,
    hub_projection,
    norm,
    projection,
    tied_head,
)
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import BytePairTokenizer

_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_fast"}  # ours, and Transformers' name


class GPTNeoXBackbone(Decoder):
    """A GPT-NeoX decoder (Black et al. 2022), with KerasHub's arguments and some of our own.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_heads: attention heads; the head width is hidden_dim / num_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        dropout: rate after each branch in training.
        rotary_percentage: the rotated part of each head; rounded down it must be even.
        rotary_max_wavelength: base of the rotary frequencies.
        layer_norm_epsilon: epsilon of every norm.
        max_sequence_length: context length in training, in tokens; limits nothing.
        dtype: Keras dtype policy.
        use_parallel_residual: both branches read the same input; otherwise the second reads the
            output of the first.
        activation: "gelu_tanh" or "gelu", which is exact.
        tie_word_embeddings: project to logits with the token table itself.

    Raises:
        SettingError: an argument is impossible.
    """

    own_arguments: ClassVar[dict[str, Any]] = {
        "use_parallel_residual": True,
        "activation": "gelu_tanh",
        "tie_word_embeddings": True,
    }

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        dropout: float = 0.0,
        rotary_percentage: float = 0.25,
        rotary_max_wavelength: float = 10_000,
        layer_norm_epsilon: float = 1e-5,
        max_sequence_length: int = 512,
        dtype: Any = None,
        use_parallel_residual: bool = True,
        activation: str = "gelu_tanh",
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        owner = "GPTNeoXBackbone"
        if activation not in _ACTIVATIONS:
            expected = " or ".join(map(repr, _ACTIVATIONS))
            raise SettingError(f"{owner}: activation: expected {expected}, got {activation!r}")
        config.check_size(owner, "max_sequence_length", max_sequence_length)
        head_dim = config.head_width(owner, hidden_dim, num_heads)
        decoders.check_part(owner, "rotary_percentage", rotary_percentage)
        parallel = config.Parallel(shared_norm=False)
        super().__init__(
            decoders.gpt_like(
                owner,
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_heads=num_heads,
                intermediate_dim=intermediate_dim,
                activation=cast(config.Activation, activation),
                position=config.Rope(
                    rotary_max_wavelength, turned=int(head_dim * rotary_percentage)
                ),
                block=parallel if use_parallel_residual else config.Sequential(),
                tied=tie_word_embeddings,
                layer_norm_epsilon=layer_norm_epsilon,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class GPTNeoXTokenizer(BytePairTokenizer):
    """GPT-NeoX's byte-level BPE tokenizer."""

    composes = True
    start_token = "<|endoftext|>"
    end_token = "<|endoftext|>"


class GPTNeoXCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to GPT-NeoX's ids and back."""

    tokenizer_cls = GPTNeoXTokenizer


class GPTNeoXCausalLM(CausalLM):
    """GPT-NeoX as a causal language model."""

    backbone_cls = GPTNeoXBackbone
    preprocessor_cls = GPTNeoXCausalLMPreprocessor


_HUB = "layers/gpt_neo_x_decoder{_i}/"
_HUB_ATTENTION = _HUB + "_self_attention_layer/"


def _hub_fused(index: int, name: str) -> tuple[Rule, Rule]:
    """Return rules for each head's query, key and value as thirds of its features."""
    third = Part(index, index + 1, 3, axis=-1)
    ours, theirs = f"{OURS}attention/{name}", f"{_HUB_ATTENTION}_qkv_dense/vars/"
    return (
        Rule(f"{ours}/kernel", f"{theirs}0", "hkd -> dhk", part=third),
        Rule(f"{ours}/bias", f"{theirs}1", part=third),
    )


KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    Rule("token_embedding/reverse_embeddings", "layers/reversible_embedding/vars/1"),
    *hub_norm(OURS + "attention_norm", _HUB + "_self_attention_layer_norm"),
    *(rule for i, name in enumerate(("query", "key", "value")) for rule in _hub_fused(i, name)),
    *hub_projection(OURS + "attention/output", _HUB_ATTENTION + "_output_dense", "dhk -> (hk)d"),
    *hub_norm(OURS + "mlp_norm", _HUB + "_feedforward_layer_norm"),
    *hub_projection(OURS + "mlp/up", _HUB + "_feedforward_intermediate_dense", "fd -> df"),
    *hub_projection(OURS + "mlp/down", _HUB + "_feedforward_output_dense", "df -> fd"),
    *hub_norm("final_norm", "layers/layer_normalization"),
)

_PREFIX, _LAYER = "gpt_neox.", "layers.{i}."
_FUSED = _LAYER + "attention.query_key_value"


def transformers_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules of a model with this number of heads."""
    return (
        Rule("token_embedding/embeddings", either(_PREFIX, "embed_in.weight")),
        tied_head("dv -> vd", "embed_out.weight"),
        *norm(_PREFIX, OURS + "attention_norm", _LAYER + "input_layernorm"),
        *fused_heads(_PREFIX, _FUSED, arguments["num_heads"]),
        *projection(_PREFIX, OURS + "attention/output", _LAYER + "attention.dense", MERGED),
        *norm(_PREFIX, OURS + "mlp_norm", _LAYER + "post_attention_layernorm"),
        *projection(_PREFIX, OURS + "mlp/up", _LAYER + "mlp.dense_h_to_4h"),
        *projection(_PREFIX, OURS + "mlp/down", _LAYER + "mlp.dense_4h_to_h"),
        *norm(_PREFIX, "final_norm", "final_layer_norm"),
    )


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    rope = settings.rope(kinds=("default",), partial=0.25)
    said = settings.expect("hidden_act", *_ACTIVATIONS.values(), "gelu_new", "gelu_pytorch_tanh")
    return {
        "rotary_percentage": rope["partial_rotary_factor"],
        "rotary_max_wavelength": rope["rope_theta"],
        "activation": "gelu" if said == "gelu" else "gelu_tanh",
    }


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    # Both generations of Transformers read these names.
    return {
        "rotary_pct": arguments["rotary_percentage"],
        "rotary_emb_base": arguments["rotary_max_wavelength"],
        "hidden_act": _ACTIVATIONS[arguments["activation"]],
    }


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments. The files do not state the kind of GELU: of the published
    models, only the 20B, recognised by its 44 layers, uses the tanh form."""
    arguments = gguf_decoder.layer_norm_decoder(settings)
    heads = arguments["num_heads"]
    gguf_decoder.expect_heads(settings, heads)
    turned = settings.take("rope.dimension_count", arguments["hidden_dim"] // heads)
    return {
        **arguments,
        "rotary_percentage": turned * heads / arguments["hidden_dim"],
        "rotary_max_wavelength": settings.take("rope.freq_base", 10_000.0),
        "max_sequence_length": settings.take("context_length", 512),
        "use_parallel_residual": settings.take("use_parallel_residual", True),
        "activation": "gelu_tanh" if arguments["num_layers"] == 44 else "gelu",
        "tie_word_embeddings": gguf_decoder.is_tied(settings),
    }


def _gguf_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    return (*gguf_rules.gpt_like(arguments["num_heads"]), *gguf_rules.HEAD)


FAMILIES = (
    Family(
        name="gpt_neo_x",
        backbone=GPTNeoXBackbone,
        tokenizer=GPTNeoXTokenizer,
        preprocessor=GPTNeoXCausalLMPreprocessor,
        causal_lm=GPTNeoXCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("gptneox", _gguf_rules, _read_gguf),
        transformers=Transformers(
            model_type="gpt_neox",
            architecture="GPTNeoXForCausalLM",
            rules=transformers_rules,
            keys={
                "vocab_size": "vocabulary_size",
                "num_hidden_layers": "num_layers",
                "num_attention_heads": "num_heads",
                "hidden_size": "hidden_dim",
                "intermediate_size": "intermediate_dim",
                "hidden_dropout": "dropout",
                "layer_norm_eps": "layer_norm_epsilon",
                "max_position_embeddings": "max_sequence_length",
                "use_parallel_residual": "use_parallel_residual",
                "tie_word_embeddings": "tie_word_embeddings",
            },
            renamed={"rotary_pct": "partial_rotary_factor", "rotary_emb_base": "rope_theta"},
            defaults={
                "hidden_dropout": 0.0,
                "layer_norm_eps": 1e-5,
                "max_position_embeddings": 2048,
                "use_parallel_residual": True,
                "tie_word_embeddings": False,
            },
            fixed={"attention_bias": (True,)},
            read=_read,
            write=_write,
            harmless=("attention_probs_dropout_prob", "classifier_dropout", "hidden_dropout_prob"),
            # Masks and frequencies that old files store with the weights.
            ignored=tuple(
                name
                for buffer in ("bias", "masked_bias", "rotary_emb.inv_freq")
                for name in either(_PREFIX, f"{_LAYER}attention.{buffer}")
            ),
        ),
    ),
)
