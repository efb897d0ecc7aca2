"""What an encoder reads, and how it becomes the vectors that its first block reads."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import keras

from workbench.backbones.audio_config import AudioConfig
from workbench.backbones.config import DecoderConfig
from workbench.backbones.layers.audio import AudioFrames
from workbench.backbones.layers.named import TokenEmbedding

SOURCE_INPUTS = ("encoder_token_ids", "encoder_padding_mask")
AUDIO_INPUTS = ("encoder_input_values", "encoder_padding_mask")


class Source(Protocol):
    """The layers before an encoder; the model that runs them owns them.

    Attributes:
        names: what is read and its mask, by the names of the model's inputs.
        table: the token table an encoder has, None where it reads no tokens.
        decoder_table: the name of the decoder's token table where it has one of its own.
    """

    names: tuple[str, str]
    table: TokenEmbedding | None
    decoder_table: str

    def inputs(self) -> dict[str, keras.KerasTensor]:
        """The model's inputs of these names."""
        ...

    def vectors(self, read: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The encoder's vectors (B, S, width) and their mask (B, S)."""
        ...

    def outputs(self, mask: jax.Array) -> dict[str, jax.Array]:
        """What the model tells of the vectors beside what the encoder makes of them."""
        ...


class TokenSource:
    """Token ids, int32 (B, S); the mask stays as it is."""

    names = SOURCE_INPUTS
    decoder_table = "decoder_token_embedding"

    def __init__(self, config: DecoderConfig, init: Any, dtype: Any) -> None:
        self.table = token_table(config, "token_embedding", init, dtype)

    def inputs(self) -> dict[str, keras.KerasTensor]:
        return {name: keras.Input((None,), dtype="int32", name=name) for name in self.names}

    def vectors(self, read: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.table(read), mask

    def outputs(self, mask: jax.Array) -> dict[str, jax.Array]:
        return {}


class AudioSource:
    """Samples, float32 (B, samples, 1), and their mask (B, samples)."""

    names = AUDIO_INPUTS
    decoder_table = "token_embedding"
    table = None

    def __init__(self, config: AudioConfig, init: Any, dtype: Any) -> None:
        self.frames = AudioFrames(config, init, dtype=dtype, name="audio")

    def inputs(self) -> dict[str, keras.KerasTensor]:
        samples, mask = self.names
        return {
            samples: keras.Input((None, 1), dtype="float32", name=samples),
            mask: keras.Input((None,), dtype="bool", name=mask),
        }

    def vectors(self, read: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.frames(read, mask)

    def outputs(self, mask: jax.Array) -> dict[str, jax.Array]:
        return {"encoder_attention_mask": mask}


def make_source(config: DecoderConfig | AudioConfig, init: Any, dtype: Any) -> Source:
    """The layers before an encoder of this configuration."""
    kinds = {DecoderConfig: TokenSource, AudioConfig: AudioSource}
    return kinds[type(config)](config, init, dtype)


def token_table(config: DecoderConfig, name: str, init: Any, dtype: Any) -> TokenEmbedding:
    """A table of token vectors, and the output projection."""
    return TokenEmbedding(
        config.vocabulary_size,
        config.width,
        tie_weights=config.tied,
        embeddings_initializer=init,
        logit_soft_cap=config.final_soft_cap,
        dtype=dtype,
        name=name,
    )
