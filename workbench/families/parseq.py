"""PARSeq reads the word in a picture: a vision transformer and a two-stream decoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import keras

from workbench.backbones import config
from workbench.backbones.backbone import Backbone, keeps_arguments
from workbench.backbones.decoder import refuse_unknown, text_inputs
from workbench.backbones.layers.attention import HIDDEN, LayerCache
from workbench.backbones.layers.dense import NamedDense
from workbench.backbones.layers.named import TokenEmbedding
from workbench.backbones.parseq_config import UNPREDICTED, PARSeqConfig
from workbench.backbones.parseq_decoder import PARSeqCache, PARSeqDecoder
from workbench.backbones.vision import VisionEncoder
from workbench.backbones.vision_config import VisionConfig, vision_transformer
from workbench.backbones.weights import Rule, numbering
from workbench.errors import SettingError, present
from workbench.families.registry import Family
from workbench.families.shared_rules import hub_attention, hub_norm, hub_projection
from workbench.images import ImageConverter
from workbench.kinds import checks_types
from workbench.preprocessing.parseq_preprocessor import PARSeqPreprocessor
from workbench.tasks.parseq import TextReader
from workbench.tokenizers.characters import CharacterTokenizer


class ViTBackbone:
    """The arguments of a vision transformer (Dosovitskiy et al. 2021), as KerasHub names them.

    It is a plain value: `PARSeqBackbone` builds the network, with exact GELU and layer norms before
        each branch.

    Args:
        image_shape: height, width and channels of a picture; three channels.
        patch_size: height and width of a patch, or one number for both; divisors of the picture's.
        num_layers: number of blocks.
        num_heads: attention heads; the head width is hidden_dim / num_heads.
        hidden_dim: width of the residual stream.
        mlp_dim: inner width of the feed-forward network.
        dropout_rate, attention_dropout: kept for KerasHub's files; nothing is dropped here.
        layer_norm_epsilon: epsilon of every norm.
        use_mha_bias, use_mlp_bias: biases in attention and in the feed-forward network.
        use_class_token: False; PARSeq's decoder reads only patches.
        use_patch_bias: True.
        name, trainable, dtype: kept for KerasHub's files.

    Raises:
        SettingError: an argument is impossible.
    """

    @checks_types
    def __init__(
        self,
        image_shape: Sequence[int],
        patch_size: int | Sequence[int],
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout_rate: float = 0.0,
        attention_dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-6,
        use_mha_bias: bool = True,
        use_mlp_bias: bool = True,
        use_class_token: bool = False,
        use_patch_bias: bool = True,
        name: str = "image_encoder",
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        patch = (patch_size, patch_size) if isinstance(patch_size, int) else tuple(patch_size)
        shape = tuple(image_shape)
        if len(shape) != 3 or shape[-1] != 3 or len(patch) != 2:
            raise SettingError(
                "ViTBackbone: image_shape, patch_size: expected (height, width, 3) and "
                f"(height, width), got {shape} and {patch}"
            )
        for argument, value, only in (
            ("use_class_token", use_class_token, False),
            ("use_patch_bias", use_patch_bias, True),
        ):
            if value is not only:
                raise SettingError(f"ViTBackbone: {argument}: expected {only}, got {value!r}")
        config.check_rate("ViTBackbone", "dropout_rate", dropout_rate)
        config.check_rate("ViTBackbone", "attention_dropout", attention_dropout)
        self.image_shape, self.patch_size = shape, patch
        self.num_layers, self.num_heads = num_layers, num_heads
        self.hidden_dim, self.mlp_dim = hidden_dim, mlp_dim
        self.dropout_rate, self.attention_dropout = dropout_rate, attention_dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.use_mha_bias, self.use_mlp_bias = use_mha_bias, use_mlp_bias
        self.use_class_token, self.use_patch_bias = use_class_token, use_patch_bias
        self.name = name
        self.vision = self._vision()

    def _vision(self) -> VisionConfig:
        """Return the configuration of the network."""
        vision = vision_transformer(
            image_size=self.image_shape[:2],
            patch_size=self.patch_size,
            width=self.hidden_dim,
            layers=self.num_layers,
            heads=self.num_heads,
            mlp_width=self.mlp_dim,
            activation="gelu",
            epsilon=self.layer_norm_epsilon,
            bias=self.use_mha_bias,
        )
        mlp = config.Dense(self.mlp_dim, "gelu", bias=self.use_mlp_bias)
        return dataclasses.replace(vision, stack=dataclasses.replace(vision.stack, mlp=mlp))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that describe the network, as plain values."""
        values = {k: v for k, v in vars(self).items() if k not in ("name", "vision")}
        return values | {
            "image_shape": list(self.image_shape),
            "patch_size": list(self.patch_size),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild it from `get_config()`."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ViTBackbone) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((self.image_shape, self.patch_size, self.num_layers, self.hidden_dim))


class PARSeqBackbone(Backbone):
    """PARSeq (Bautista and Atienza 2022), with KerasHub's arguments.

    Inputs: `images` (B, height, width, 3) in [-1, 1]; `token_ids` int32 (B, T), the start token
    first, and `padding_mask` (B, T), true or nonzero at real tokens. Output: float logits
    (B, T, vocabulary_size - 2) of each next token, in the compute dtype; the last two tokens of
    the vocabulary, start and padding, are never predicted.

    Args:
        image_encoder: a `ViTBackbone`, or its arguments as a mapping.
        vocabulary_size: the number of tokens: the end, the characters, the start, the padding.
        max_label_length: the most characters that can be read.
        decoder_hidden_dim: width of the decoder, equal to the image encoder's.
        num_decoder_layers: number of the decoder's blocks.
        num_decoder_heads: its attention heads; the head width is decoder_hidden_dim / heads.
        decoder_mlp_dim: inner width of its feed-forward networks.
        dropout_rate: rate after the decoder's embeddings and each of its branches in training.
        attention_dropout: kept for KerasHub's files; attention weights are not dropped here.
        dtype: Keras dtype policy.

    Raises:
        SettingError: an argument is impossible.
    """

    @keeps_arguments
    def __init__(
        self,
        image_encoder: ViTBackbone | Mapping[str, Any],
        vocabulary_size: int,
        max_label_length: int,
        decoder_hidden_dim: int,
        num_decoder_layers: int,
        num_decoder_heads: int,
        decoder_mlp_dim: int,
        dropout_rate: float = 0.1,
        attention_dropout: float = 0.1,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        owner = "PARSeqBackbone"
        refuse_unknown(owner, kwargs)
        config.check_rate(owner, "attention_dropout", attention_dropout)
        config.check_size(owner, "max_label_length", max_label_length, 2**12)
        head_dim = config.head_width(owner, decoder_hidden_dim, num_decoder_heads)
        self.config = PARSeqConfig(
            _image_encoder(image_encoder).vision,
            config.DecoderConfig(
                vocabulary_size=vocabulary_size,
                width=decoder_hidden_dim,
                layers=(config.LayerSpec(),) * config.layer_count(owner, num_decoder_layers),
                position=config.Learned(max_label_length + 1),
                norm=config.LayerNorm(1e-5),
                attention=config.Attention(
                    num_decoder_heads,
                    num_decoder_heads,
                    head_dim,
                    scale=head_dim**-0.5,
                    bias=True,
                    output_bias=True,
                ),
                mlp=config.Dense(decoder_mlp_dim, "gelu"),
                dropout=dropout_rate,
            ),
        )
        vision = self.config.vision
        init: Any = keras.initializers.TruncatedNormal(stddev=0.02)
        encoder = VisionEncoder(vision, init, dtype=dtype, name="image_encoder")
        decoder = PARSeqDecoder(
            self.config.decoder, vision.stack.width, init, dtype=dtype, name="decoder"
        )
        head = NamedDense(self.config.predicted, kernel_initializer=init, dtype=dtype, name="head")
        images = keras.Input((*vision.image_size, 3), name="images")
        inputs = {"images": images, **text_inputs()}
        hidden = decoder(inputs["token_ids"], encoder(images), inputs["padding_mask"])
        super().__init__(inputs=inputs, outputs=head(hidden), **kwargs)
        self.dtype_policy = decoder.dtype_policy  # a functional model takes none
        self.image_encoder, self.decoder, self.head = encoder, decoder, head

    @property
    def token_embedding(self) -> TokenEmbedding:
        """The layer that embeds token ids."""
        return self.decoder.token_embedding

    @property
    def max_length(self) -> int:
        """The longest sequence that the positions allow, in tokens, including the start."""
        return self.config.max_length

    def encode(self, images: jax.Array) -> jax.Array:
        """Encode pictures (B, height, width, 3) in [-1, 1] to vectors (B, patches, width)."""
        return self.image_encoder(images)

    def embed(self, token_ids: jax.Array) -> jax.Array:
        """Return token vectors (B, T, width) of ids (B, T), before positions and scaling."""
        return self.token_embedding(token_ids)

    def init_cache(
        self, batch: int, length: int, reach: int | None = None, *, memory: jax.Array
    ) -> PARSeqCache:
        """Return a cache for `batch` rows of `length` positions, in the compute dtype, with the
        keys and values of pictures encoded to (B, patches, width). `reach` is unused."""
        spec = self.config.decoder.attention
        empty = jnp.zeros((batch, length, spec.kv_heads, spec.head_dim), self.compute_dtype)
        layers = tuple(LayerCache(empty, empty) for _ in self.decoder.blocks)
        return PARSeqCache(layers, memory=self.decoder.remember(memory))

    def read(
        self,
        ids: jax.Array,
        lengths: jax.Array,
        stretched: bool,
        *,
        images: jax.Array | None = None,
        memory: jax.Array | None = None,
    ) -> tuple[jax.Array, PARSeqCache]:
        """Read the beginnings of texts, ids (B, P) of these lengths (B,), and their pictures:
        `images` (B, height, width, 3), or `memory`, the output of `encode`; as `Decoder.read`."""
        memory = (
            self.encode(present(images, "pictures, or what is encoded of them"))
            if memory is None
            else memory
        )
        positions = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        return self.extend(ids, positions, self.init_cache(*ids.shape, memory=memory))

    def extend(
        self, inputs: jax.Array, positions: jax.Array, cache: PARSeqCache
    ) -> tuple[jax.Array, PARSeqCache]:
        """Run new positions against the cache: token ids at positions, both int32 (B, T), the
        positions consecutive in each row. Returns the hidden states (B, T, width) and the cache
        with the new keys and values."""
        return self.decoder.extend(inputs, positions, cache)

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Return next-token logits (..., vocabulary) of hidden states (..., width). The two tokens
        that are never predicted get logits so low that their probability is zero."""
        never = jnp.full((*hidden.shape[:-1], UNPREDICTED), HIDDEN, jnp.float32)
        return jnp.concatenate([self.head(hidden).astype(jnp.float32), never], axis=-1)


def _image_encoder(given: ViTBackbone | Mapping[str, Any]) -> ViTBackbone:
    if isinstance(given, ViTBackbone):
        return given
    if isinstance(given, Mapping):
        return ViTBackbone(**given)
    raise SettingError(
        "PARSeqBackbone: image_encoder: expected a ViTBackbone or its arguments, got "
        f"{type(given).__name__}"
    )


class PARSeqTokenizer(CharacterTokenizer):
    """PARSeq's tokenizer: one token per character."""


class PARSeqImageConverter(ImageConverter):
    """Converts pictures to PARSeq's input."""


class PARSeqCausalLMPreprocessor(PARSeqPreprocessor):
    """Preprocessor: pictures of words and their texts to PARSeq's inputs and back."""

    tokenizer_cls = PARSeqTokenizer


class PARSeqCausalLM(TextReader):
    """PARSeq as a reader of words in pictures."""

    backbone_cls = PARSeqBackbone
    preprocessor_cls = PARSeqCausalLMPreprocessor


_VIT = "layers/vi_t_backbone/layers/"
_PATCHES = _VIT + "vi_t_patching_and_embedding/"
_VIT_BLOCK = _VIT + "vi_t_encoder/encoder_layers/vi_t_encoder_block{_i}/"
_OUR_VIT_BLOCK = "image_encoder/block_{i}/"
_DECODER = "layers/par_seq_decoder/"
_BLOCK = _DECODER + "decoder_layers/par_seq_decoder_block{_i}/"
_OUR_BLOCK = "decoder/block_{i}/"


def _mlp(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        *hub_projection(f"{ours}/up", f"{theirs}/dense_1", "fd -> df"),
        *hub_projection(f"{ours}/down", f"{theirs}/dense_2", "df -> fd"),
    )


_VIT_RULES = (
    *hub_norm(_OUR_VIT_BLOCK + "attention_norm", _VIT_BLOCK + "layer_norm_1"),
    *hub_attention(_OUR_VIT_BLOCK + "attention", _VIT_BLOCK + "mha"),
    *hub_norm(_OUR_VIT_BLOCK + "mlp_norm", _VIT_BLOCK + "layer_norm_2"),
    *_mlp(_OUR_VIT_BLOCK + "mlp", _VIT_BLOCK + "mlp"),
)
_DECODER_RULES = (
    *hub_norm(_OUR_BLOCK + "query_norm", _BLOCK + "query_layer_norm"),
    *hub_norm(_OUR_BLOCK + "content_norm", _BLOCK + "content_layer_norm"),
    *hub_attention(_OUR_BLOCK + "attention", _BLOCK + "self_attention"),
    *hub_attention(_OUR_BLOCK + "cross_attention", _BLOCK + "cross_attention"),
    *hub_norm(_OUR_BLOCK + "cross_norm", _BLOCK + "layer_norm_1"),
    *hub_norm(_OUR_BLOCK + "mlp_norm", _BLOCK + "layer_norm_2"),
    *_mlp(_OUR_BLOCK + "mlp", _BLOCK + "mlp"),
)
_REST = (
    *hub_projection("image_encoder/patch_embedding", _PATCHES + "patch_embedding", "dhwc -> hwcd"),
    Rule("image_encoder/position_embedding/embeddings", _PATCHES + "position_embedding/vars/0"),
    *hub_norm("image_encoder/final_norm", _VIT + "vi_t_encoder/layer_norm"),
    Rule("decoder/token_embedding/embeddings", _DECODER + "token_embedding/vars/0"),
    Rule("decoder/positions/embeddings", _DECODER + "vars/0", "ld -> 1ld"),
    *hub_norm("decoder/final_norm", _DECODER + "layer_norm"),
    *hub_projection("head", "layers/dense", ""),
)


def keras_hub_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for KerasHub's files, which number each side's layers from zero."""
    encoder = arguments["image_encoder"]
    if isinstance(encoder, Mapping):
        encoder = _image_encoder(encoder.get("config", encoder))
    return (
        *_REST,
        *numbering(_VIT_RULES, encoder.num_layers),
        *numbering(_DECODER_RULES, arguments["num_decoder_layers"]),
    )


FAMILIES = (
    Family(
        name="parseq",
        backbone=PARSeqBackbone,
        tokenizer=PARSeqTokenizer,
        preprocessor=PARSeqCausalLMPreprocessor,
        causal_lm=PARSeqCausalLM,
        parts={"image_encoder": ViTBackbone},
        converters={"image_converter": PARSeqImageConverter},
        keras_hub_rules=keras_hub_rules,
    ),
)
