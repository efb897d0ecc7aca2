"""The decoder: a token embedding, a list of blocks and a final norm. Families configure it.

`model(inputs)` runs a whole sequence, for training and scoring. `extend` runs new positions against
a cache, for generation. Both use the same layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.backbone import Backbone
from workbench.backbones.block import make_block
from workbench.backbones.config import DecoderConfig, Learned, StackConfig
from workbench.backbones.keras_types import Tensor
from workbench.backbones.layers.attention import LayerCache
from workbench.backbones.layers.embedding import EmbeddingScale, PositionEmbedding
from workbench.backbones.layers.named import TokenEmbedding
from workbench.backbones.layers.norms import make_norm
from workbench.backbones.observing import observed
from workbench.errors import SettingError


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cache:
    """Keys and values of every layer. `stretched` tells whether they were rotated by longrope's
    long factors: the queries must be rotated alike."""

    layers: tuple[LayerCache, ...]
    stretched: bool = field(default=False, metadata={"static": True})

    def grow(self, length: int) -> Self:
        """Return the cache with room for `length` positions."""
        more = ((0, 0), (0, length - self.layers[0].key.shape[1]), (0, 0), (0, 0))
        return replace(self, layers=jax.tree.map(lambda part: jnp.pad(part, more), self.layers))


class DecoderLayers:
    """The layers of a decoder. The model that runs them owns them."""

    def __init__(self, config: DecoderConfig, dtype: Any) -> None:
        init = keras.initializers.RandomNormal(stddev=0.02)
        self.token_embedding = TokenEmbedding(
            config.vocabulary_size,
            config.width,
            tie_weights=config.tied,
            embeddings_initializer=init,  # pyright: ignore[reportArgumentType]  # typed as str
            logit_soft_cap=config.final_soft_cap,
            dtype=dtype,
            name="token_embedding",
        )
        self.prepare = input_layers(config, init, dtype)
        self.blocks = [
            make_block(config, spec, init, dtype=dtype, name=f"decoder_block_{i}")
            for i, spec in enumerate(config.layers)
        ]
        self.final_norm = make_norm(config.norm, dtype=dtype, name="final_norm")

    def vectors(self, token_ids: Tensor, padding_mask: Tensor | None = None) -> Any:
        """Embed ids (B, T) with a mask (B, T): the first block's input (B, T, width)."""
        return placed(self.prepare, self.token_embedding(token_ids), padding_mask=padding_mask)

    def run(self, x: Tensor, padding_mask: Tensor, groups: Tensor | None = None) -> Any:
        """Run the blocks and the final norm on x (B, T, width), the first block's input, and return
        the hidden states; `padding_mask` and `groups` as in `DecoderBlock.call`."""
        for block in self.blocks:
            x = block(x, padding_mask, groups)
        return self.final_norm(x)


class Decoder(Backbone):
    """A decoder-only backbone built from a `DecoderConfig`.

    Inputs: `token_ids` int32 (B, T) and `padding_mask` (B, T), true or nonzero at real tokens.
    Several texts may share a row: the mask then numbers them 1, 2, 3 ..., and each is computed as
    if it were alone.
    Output: hidden states after the final norm, (B, T, width), in the compute dtype.
    """

    def __init__(self, config: DecoderConfig, dtype: Any = None, **kwargs: Any) -> None:
        refuse_unknown(type(self).__name__, kwargs)
        layers = DecoderLayers(config, dtype)
        inputs = text_inputs()
        hidden = layers.run(layers.vectors(**inputs), inputs["padding_mask"])
        self._assemble(config, layers, inputs, hidden, **kwargs)

    def _assemble(
        self,
        config: DecoderConfig,
        layers: DecoderLayers,
        inputs: dict[str, Any],
        outputs: Any,
        **kwargs: Any,
    ) -> None:
        """Initialise the functional model from these inputs to these outputs."""
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.dtype_policy = layers.blocks[0].dtype_policy  # a functional model takes no dtype
        self.config = config
        self.token_embedding = layers.token_embedding
        self.blocks = layers.blocks
        self.final_norm = layers.final_norm
        self._prepare = layers.prepare

    @property
    def max_length(self) -> int | None:
        """The longest sequence the positions allow, in tokens; None without a limit."""
        return self.config.max_length

    def init_cache(self, batch: int, length: int, reach: int | None = None) -> Cache:
        """Make an empty cache for `batch` rows of `length` positions, in the compute dtype.

        `reach` is the final length in tokens of the longest sequence, by default `length`. It
        chooses longrope's factors for the whole generation.
        """
        spec = self.config.attention
        shape = (batch, length, spec.kv_heads, spec.head_dim)
        dtype = self.compute_dtype
        layers = tuple(
            LayerCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in self.blocks
        )
        return Cache(layers, self.config.stretches(length if reach is None else reach))

    def embed(self, token_ids: jax.Array) -> jax.Array:
        """Return token vectors (B, T, width) of ids (B, T), before positions and scaling."""
        return self.token_embedding(token_ids)

    def read(self, ids: jax.Array, lengths: jax.Array, stretched: bool) -> tuple[jax.Array, Cache]:
        """Read prompts with an empty cache.

        Args:
            ids: right-padded, int32 (B, P).
            lengths: of the prompts, int32 (B,).
            stretched: use the long factors of longrope.

        Backbones that read images or audio take these as keyword arguments.

        Returns:
            The hidden states (B, P, width) and the cache.
        """
        empty = replace(self.init_cache(*ids.shape), stretched=stretched)
        return self.extend(ids, jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape), empty)

    def extend(
        self, inputs: jax.Array, positions: jax.Array, cache: Cache
    ) -> tuple[jax.Array, Cache]:
        """Run new positions against the cache.

        Args:
            inputs: token ids int32 (B, T), or embeddings (B, T, width) as `embed` returns them.
            positions: int32 (B, T), consecutive in each row and below the cache's length.
            cache: keys and values of the positions before.

        Returns:
            The hidden states (B, T, width), and the cache with the new keys and values.
        """
        x = self.embed(inputs) if inputs.ndim == 2 else inputs
        return self._extend(placed(self._prepare, x, positions), positions, cache)

    def _extend(
        self,
        x: jax.Array,
        positions: jax.Array,
        cache: Cache,
        groups: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache]:
        """`extend`, given the first block's input (B, T, width)."""
        grown, x = [], observed("embedding", x)
        for block, layer_cache in zip(self.blocks, cache.layers, strict=True):
            x, layer_cache = block.extend(x, positions, layer_cache, cache.stretched, groups)
            grown.append(layer_cache)
        return observed("final_norm/output", self.finish(x)), replace(cache, layers=tuple(grown))

    def finish(self, x: jax.Array) -> jax.Array:
        """Turn the last block's output into hidden states, both (..., width)."""
        return self.final_norm(x)

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Return next-token logits (..., vocabulary) of hidden states (..., width)."""
        return self.token_embedding(hidden, reverse=True)


def text_inputs() -> dict[str, Any]:
    """Make the inputs that every decoder has, both (B, T)."""
    return inputs_of_ids("token_ids", "padding_mask")


def inputs_of_ids(*names: str) -> dict[str, Any]:
    """Make model inputs int32 (B, T) of these names."""
    return {name: keras.Input((None,), dtype="int32", name=name) for name in names}


def refuse_unknown(owner: str, kwargs: dict[str, Any]) -> None:
    """Refuse arguments that Keras would silently drop.

    Raises:
        SettingError: naming them.
    """
    unknown = sorted(set(kwargs) - {"name", "trainable"})
    if unknown:
        raise SettingError(f"{owner}: unknown arguments {unknown}")


def input_layers(
    config: StackConfig, init: Any, dtype: Any, prefix: str = ""
) -> list[keras.layers.Layer]:
    """Make the layers between token vectors and the first block; `prefix` begins their names."""
    layers: list[keras.layers.Layer] = []
    if config.scale_embedding:
        layers.append(EmbeddingScale(dtype=dtype, name=f"{prefix}embedding_scale"))
    if isinstance(config.position, Learned):
        length, name = config.position.length, f"{prefix}position_embedding"
        layers.append(PositionEmbedding(length, init, dtype=dtype, name=name))
    if config.norm_embedding:
        layers.append(make_norm(config.norm, dtype=dtype, name=f"{prefix}embedding_norm"))
    if config.dropout:
        name = f"{prefix}embedding_dropout"
        layers.append(keras.layers.Dropout(config.dropout, dtype=dtype, name=name))
    return layers


def placed(
    layers: list[keras.layers.Layer],
    x: Tensor,
    positions: Tensor | None = None,
    padding_mask: Tensor | None = None,
) -> Any:
    """Apply the layers of `input_layers` to token vectors (B, T, width): at positions (B, T), or
    those that a padding mask (B, T) gives, or 0 to T - 1."""
    for layer in layers:
        where = (positions, padding_mask) if isinstance(layer, PositionEmbedding) else ()
        x = layer(x, *where)
    return x
