"""BERT: a post-norm encoder with learned positions and segments, and a classifier on its pooler.

KerasHub's models use the tanh form of GELU, like BERT's original code; Transformers' use exact
GELU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from workbench.backbones import config
from workbench.backbones.backbone import Backbone, keeps_arguments
from workbench.backbones.decoder import refuse_unknown
from workbench.backbones.encoder import Encoder
from workbench.backbones.encoder_decoder_config import as_encoder
from workbench.backbones.layers.dense import NamedDense
from workbench.backbones.layers.named import TokenEmbedding
from workbench.backbones.tables import Table
from workbench.backbones.weights import Rule
from workbench.errors import PresetError
from workbench.families.registry import Family
from workbench.families.shared_rules import (
    HEADS,
    MERGED,
    hub_block,
    hub_norm,
    hub_projection,
)
from workbench.formats.config_reader import ConfigReader
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.text_classifier_preprocessor import TextClassifierPreprocessor
from workbench.tasks.text_classifier import TextClassifier
from workbench.tokenizers import WordPieceTokenizer


class BertBackbone(Backbone):
    """A BERT encoder (Devlin et al. 2019), with KerasHub's arguments and one more.

    Inputs: `token_ids`, `segment_ids` and `padding_mask`, int32 (B, S). Outputs:
    `sequence_output` (B, S, hidden_dim), and `pooled_output` (B, hidden_dim), a dense layer with
    tanh on the first token.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_heads: attention heads; the head width is hidden_dim / num_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        dropout: rate after the embedding and each branch in training.
        max_sequence_length: rows of the position table; no sequence may be longer.
        num_segments: rows of the segment table.
        dtype: Keras dtype policy.
        exact_gelu: use GELU by the error function instead of its tanh form.

    Raises:
        SettingError: an argument is impossible.
    """

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        dropout: float = 0.1,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        dtype: Any = None,
        exact_gelu: bool = False,
        **kwargs: Any,
    ) -> None:
        refuse_unknown("BertBackbone", kwargs)
        config.check_size("BertBackbone", "num_segments", num_segments)
        head_dim = config.head_width("BertBackbone", hidden_dim, num_heads)
        self.config = as_encoder(
            config.DecoderConfig(
                vocabulary_size=vocabulary_size,
                width=hidden_dim,
                layers=(config.LayerSpec(),) * config.layer_count("BertBackbone", num_layers),
                position=config.Learned(max_sequence_length),
                norm=config.LayerNorm(1e-12),
                attention=config.Attention(
                    num_heads,
                    num_heads,
                    head_dim,
                    scale=head_dim**-0.5,
                    bias=True,
                    output_bias=True,
                ),
                mlp=config.Dense(intermediate_dim, "gelu" if exact_gelu else "gelu_tanh"),
                block=config.PostNorm(),
                norm_embedding=True,
                dropout=dropout,
            )
        )
        init: Any = keras.initializers.TruncatedNormal(stddev=0.02)

        def table(rows: int, name: str) -> TokenEmbedding:
            return TokenEmbedding(
                rows, hidden_dim, embeddings_initializer=init, dtype=dtype, name=name
            )

        tokens = table(vocabulary_size, "token_embedding")
        segments = table(num_segments, "segment_embedding")
        encoder = Encoder(self.config, init, dtype)
        pooler = NamedDense(
            hidden_dim,
            activation="tanh",
            kernel_initializer=init,
            dtype=dtype,
            name="pooled_dense",
        )
        inputs: dict[str, Any] = {
            name: keras.Input((None,), dtype="int32", name=name)
            for name in ("token_ids", "segment_ids", "padding_mask")
        }
        x = tokens(inputs["token_ids"]) + segments(inputs["segment_ids"])
        x = encoder.run(x, inputs["padding_mask"])
        outputs = {"sequence_output": x, "pooled_output": pooler(x[:, 0])}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.dtype_policy = encoder.blocks[0].dtype_policy  # a functional model takes none
        self.token_embedding = tokens

    @property
    def max_length(self) -> int | None:
        """The longest sequence the positions allow, in tokens."""
        return self.config.max_length

    @property
    def tables(self) -> dict[str, Table]:
        """The valid ids of each input that holds ids, by its name."""
        return {**super().tables, "segment_ids": Table(self.arguments["num_segments"])}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the one that KerasHub lacks only if it is used."""
        values = super().get_config()
        return {k: v for k, v in values.items() if k != "exact_gelu" or v}


class BertTokenizer(WordPieceTokenizer):
    """BERT's WordPiece tokenizer."""

    start_token = "[CLS]"
    end_token = "[SEP]"
    pad_token = "[PAD]"
    extra_special_tokens = ("[MASK]",)


class BertTextClassifierPreprocessor(TextClassifierPreprocessor):
    """Preprocessor: strings and pairs of strings to BERT's inputs."""

    tokenizer_cls = BertTokenizer


class BertTextClassifier(TextClassifier):
    """BERT with a classifier."""

    backbone_cls = BertBackbone
    preprocessor_cls = BertTextClassifierPreprocessor


_OURS = "encoder_block_{i}/"

KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    Rule("encoder_position_embedding/embeddings", "layers/position_embedding/vars/0"),
    Rule("segment_embedding/embeddings", "layers/embedding/vars/0"),
    *hub_norm("encoder_embedding_norm", "layers/layer_normalization"),
    *hub_block(_OURS, "layers/transformer_encoder{_i}/"),
    *hub_projection("pooled_dense", "layers/dense", ""),
)
KERAS_HUB_HEAD = hub_projection("logits", "layers/dense", "")


def _names(name: str, *ends: str) -> tuple[str, ...]:
    """Return the name with and without the base prefix, with each of several endings."""
    return tuple(f"{prefix}{name}.{end}" for prefix in ("bert.", "") for end in ends)


def _norm(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """Return the rules of a LayerNorm, with current names and those of the first files."""
    return (
        Rule(f"{ours}/gamma", _names(f"{theirs}.LayerNorm", "weight", "gamma")),
        Rule(f"{ours}/beta", _names(f"{theirs}.LayerNorm", "bias", "beta")),
    )


def _projection(ours: str, theirs: str, kernel: str = "", bias: str = "") -> tuple[Rule, Rule]:
    return (
        Rule(f"{ours}/kernel", _names(theirs, "weight"), kernel),
        Rule(f"{ours}/bias", _names(theirs, "bias"), bias),
    )


_LAYER = "encoder.layer.{i}."
_TABLES = {
    "token_embedding": "word_embeddings",
    "encoder_position_embedding": "position_embeddings",
    "segment_embedding": "token_type_embeddings",
}
TRANSFORMERS_RULES = (
    *(
        Rule(f"{ours}/embeddings", _names(f"embeddings.{theirs}", "weight"))
        for ours, theirs in _TABLES.items()
    ),
    *_norm("encoder_embedding_norm", "embeddings"),
    *(
        rule
        for part in ("query", "key", "value")
        for rule in _projection(
            f"{_OURS}attention/{part}", f"{_LAYER}attention.self.{part}", HEADS, "hk -> (hk)"
        )
    ),
    *_projection(_OURS + "attention/output", _LAYER + "attention.output.dense", MERGED),
    *_norm(_OURS + "attention_norm", _LAYER + "attention.output"),
    *_projection(_OURS + "mlp/up", _LAYER + "intermediate.dense"),
    *_projection(_OURS + "mlp/down", _LAYER + "output.dense"),
    *_norm(_OURS + "mlp_norm", _LAYER + "output"),
    *_projection("pooled_dense", "pooler.dense", "io -> oi"),
)
TRANSFORMERS_HEAD = (
    Rule("logits/kernel", "classifier.weight", "io -> oi"),
    Rule("logits/bias", "classifier.bias"),
)
# Heads for other purposes, and a buffer in early files.
_UNUSED = (
    "classifier.weight",
    "classifier.bias",
    "bert.embeddings.position_ids",
    "embeddings.position_ids",
    "cls.predictions.bias",
    *(
        f"cls.{layer}.{end}"
        for layer in (
            "predictions.decoder",
            "predictions.transform.dense",
            "predictions.transform.LayerNorm",
            "seq_relationship",
        )
        for end in ("weight", "bias", "gamma", "beta")
    ),
)


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    kind = settings.expect("hidden_act", "gelu", "gelu_new")
    return {"exact_gelu": kind == "gelu"}


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"hidden_act": "gelu" if arguments.get("exact_gelu") else "gelu_new"}


def _head(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the classifier's settings of a folder; empty if it has none."""
    settings = ConfigReader(given)
    if "BertForSequenceClassification" not in settings.take("architectures", ()):
        return {}
    named, count = settings.take("id2label", None), settings.take("num_labels", 2)
    return {
        "num_classes": count if named is None else len(named),
        "dropout": settings.take("classifier_dropout", settings.take("hidden_dropout_prob", 0.1)),
    }


def _write_head(head: Mapping[str, Any], labels: tuple[str, ...]) -> dict[str, Any]:
    if head["activation"] != "linear":
        raise PresetError.at(
            "export", "activation", "linear, as Transformers has it", head["activation"]
        )
    names = labels or tuple(f"LABEL_{index}" for index in range(head["num_classes"]))
    return {
        "architectures": ["BertForSequenceClassification"],
        "classifier_dropout": head["dropout"],
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
    }


TRANSFORMERS = Transformers(
    model_type="bert",
    architecture="BertModel",
    rules=TRANSFORMERS_RULES,
    keys={
        "vocab_size": "vocabulary_size",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "hidden_size": "hidden_dim",
        "intermediate_size": "intermediate_dim",
        "hidden_dropout_prob": "dropout",
        "max_position_embeddings": "max_sequence_length",
        "type_vocab_size": "num_segments",
    },
    defaults={"hidden_dropout_prob": 0.1, "type_vocab_size": 2},
    fixed={"layer_norm_eps": (1e-12,), "position_embedding_type": ("absolute",)},
    read=_read,
    write=_write,
    harmless=(
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "chunk_size_feed_forward",
        "tie_word_embeddings",
        "num_labels",
        "directionality",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
    ),
    ignored=_UNUSED,
    head_rules=TRANSFORMERS_HEAD,
    read_head=_head,
    write_head=_write_head,
)

FAMILIES = (
    Family(
        name="bert",
        backbone=BertBackbone,
        tokenizer=BertTokenizer,
        preprocessor=BertTextClassifierPreprocessor,
        text_classifier=BertTextClassifier,
        keras_hub_rules=KERAS_HUB_RULES,
        keras_hub_head_rules=KERAS_HUB_HEAD,
        transformers=TRANSFORMERS,
    ),
)
