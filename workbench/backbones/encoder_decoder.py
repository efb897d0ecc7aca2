"""The encoder-decoder: an encoder reads the source once, a decoder attends to its output.

Families configure it. It has the methods of decoder-only backbones, so one generation engine serves
both: the encoder's output enters the cache when the cache is made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.audio_config import AudioConfig
from workbench.backbones.backbone import Backbone
from workbench.backbones.config import check_positive
from workbench.backbones.cross_block import make_cross_block
from workbench.backbones.decoder import Cache, input_layers, inputs_of_ids, placed, refuse_unknown
from workbench.backbones.encoder import Encoder, output_layers
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig
from workbench.backbones.layers.attention import LayerCache
from workbench.backbones.observing import observed
from workbench.backbones.source import make_source, token_table
from workbench.backbones.tables import Table

TARGET_INPUTS = ("decoder_token_ids", "decoder_padding_mask")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class CrossCache(Cache):
    """A decoder's cache with the keys and values of the encoder's output, `memory`.
    `memory_mask` (B, S) is false at padding."""

    memory: tuple[LayerCache, ...] = ()
    memory_mask: jax.Array | None = None


class EncoderDecoder(Backbone):
    """An encoder-decoder backbone built from an `EncoderDecoderConfig`.

    Inputs: `encoder_token_ids` int32 (B, S) and `encoder_padding_mask` (B, S),
    `decoder_token_ids` int32 (B, T) and `decoder_padding_mask` (B, T); masks are true or nonzero
    at real tokens. Outputs: `encoder_sequence_output` (B, S, encoder width) and
    `decoder_sequence_output` (B, T, decoder width), in the compute dtype.

    An audio encoder reads `encoder_input_values` float32 (B, samples, 1) and
    `encoder_padding_mask` (B, samples) instead. Its output has one vector a frame, and the output
    `encoder_attention_mask`, bool (B, frames), is true at real frames.
    """

    def __init__(
        self,
        config: EncoderDecoderConfig,
        dtype: Any = None,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        refuse_unknown(type(self).__name__, kwargs)
        check_positive(type(self).__name__, "initializer_range", initializer_range)
        init = keras.initializers.RandomNormal(stddev=initializer_range)
        target = config.decoder
        source = make_source(config.encoder, init, dtype)
        head = source.table
        if head is None or not config.shared:
            head = token_table(target, source.decoder_table, init, dtype)
        encoder = Encoder(config.encoder, init, dtype)
        prepare = input_layers(target, init, dtype, "decoder_")
        blocks = [
            make_cross_block(
                target, spec, config.encoder.width, init, dtype=dtype, name=f"decoder_block_{i}"
            )
            for i, spec in enumerate(target.layers)
        ]
        finish = output_layers(target, dtype, "decoder_")

        inputs = source.inputs() | inputs_of_ids(*TARGET_INPUTS)
        read, read_mask, target_ids, target_mask = inputs.values()
        vectors, memory_mask = source.vectors(read, read_mask)
        memory = encoder.run(vectors, memory_mask)
        x = placed(prepare, head(target_ids))
        for block in blocks:
            x = block(x, memory, target_mask, memory_mask)
        for layer in finish:
            x = layer(x)
        outputs = {"encoder_sequence_output": memory, "decoder_sequence_output": x}
        super().__init__(inputs=inputs, outputs=outputs | source.outputs(memory_mask), **kwargs)

        self.dtype_policy = blocks[0].dtype_policy  # a functional model takes no dtype
        self.config = config
        self.source = source
        self.token_embedding = source.table or head
        self.head = head
        self.encoder = encoder
        self.blocks = blocks
        self._prepare = prepare
        self._finish = finish

    @property
    def max_length(self) -> int | None:
        """The longest sequence the decoder's positions allow, in tokens; None without a limit."""
        return self.config.max_length

    @property
    def tables(self) -> dict[str, Table]:
        """The ranges of the model's inputs that hold ids, by their names."""
        sides = {"decoder_token_ids": Table(self.config.vocabulary_size, self.max_length)}
        if isinstance(self.config.encoder, AudioConfig):
            return sides
        source = Table(self.config.encoder.vocabulary_size, self.config.max_source_length)
        return {"encoder_token_ids": source, **sides}

    def encode(self, read: jax.Array, padding_mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Run the encoder.

        Args:
            read: token ids int32 (B, S) or audio samples float32 (B, samples, 1).
            padding_mask: (B, S) or (B, samples).

        Returns:
            The encoder's output (B, S, encoder width) and its mask (B, S).
        """
        vectors, mask = self.source.vectors(read, padding_mask)
        return self.encoder.run(vectors, mask), mask

    def init_cache(
        self, batch: int, length: int, reach: int | None = None, **source: jax.Array
    ) -> CrossCache:
        """Run the encoder, and make a cache for `batch` rows of `length` decoded positions.

        Args:
            batch: rows.
            length: positions of the decoder's part, in the compute dtype.
            reach: the final length in tokens of the longest sequence, by default `length`.
            source: the encoder's inputs, by their names.
        """
        memory, mask = self.encode(*(source[name] for name in self.source.names))
        spec = self.config.decoder.attention
        empty = jnp.zeros((batch, length, spec.kv_heads, spec.head_dim), self.compute_dtype)
        return CrossCache(
            layers=tuple(LayerCache(empty, empty) for _ in self.blocks),
            stretched=self.config.stretches(length if reach is None else reach),
            memory=tuple(block.cross_attention.remember(memory) for block in self.blocks),
            memory_mask=jnp.asarray(mask).astype(bool),
        )

    def embed(self, token_ids: jax.Array) -> jax.Array:
        """Return the decoder's token vectors (B, T, width) of ids (B, T), before positions."""
        return self.head(token_ids)

    def read(
        self, ids: jax.Array, lengths: jax.Array, stretched: bool, **source: jax.Array
    ) -> tuple[jax.Array, CrossCache]:
        """Read the encoder's inputs `source`, by their names, and the first decoded ids (B, P); see
        `Decoder.read`."""
        empty = replace(self.init_cache(*ids.shape, **source), stretched=stretched)
        return self.extend(ids, jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape), empty)

    def extend(
        self, inputs: jax.Array, positions: jax.Array, cache: CrossCache
    ) -> tuple[jax.Array, CrossCache]:
        """Run new positions of the decoder against the cache; see `Decoder.extend`."""
        x = self.embed(inputs) if inputs.ndim == 2 else inputs
        x = observed("embedding", placed(self._prepare, x, positions))
        grown = []
        for block, own, memory in zip(self.blocks, cache.layers, cache.memory, strict=True):
            x, own = block.extend(x, positions, own, cache.stretched, memory, cache.memory_mask)
            grown.append(own)
        return observed("final_norm/output", self.finish(x)), replace(cache, layers=tuple(grown))

    def finish(self, x: jax.Array) -> jax.Array:
        """Turn the last block's output into the decoder's hidden states, both (..., width)."""
        for layer in self._finish:
            x = layer(x)
        return x

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Return next-token logits (..., vocabulary) of decoder hidden states (..., width)."""
        return self.head(hidden, reverse=True)
