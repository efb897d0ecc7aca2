"""What an encoder reads, tokens or audio, and the layers that turn it into vectors."""

from __future__ import annotations

from typing import Any, Protocol

import keras

from workbench.backbones.audio_config import AudioConfig
from workbench.backbones.config import DecoderConfig
from workbench.backbones.decoder import inputs_of_ids
from workbench.backbones.keras_types import Tensor
from workbench.backbones.layers.audio import AudioFrames
from workbench.backbones.layers.named import TokenEmbedding

SOURCE_INPUTS = ("encoder_token_ids", "encoder_padding_mask")
AUDIO_INPUTS = ("encoder_input_values", "encoder_padding_mask")


class EncoderInputs(Protocol):
    """The layers before an encoder's blocks. The model that runs them owns them."""

    @property
    def names(self) -> tuple[str, str]:
        """The names of the model's two inputs: what is read, and its padding mask."""
        ...

    @property
    def table(self) -> TokenEmbedding | None:
        """The encoder's token embedding, None if it reads no tokens."""
        ...

    @property
    def decoder_table(self) -> str:
        """The name of the decoder's token embedding, if it has its own."""
        ...

    def inputs(self) -> dict[str, Any]:
        """Make the model's inputs of these names."""
        ...

    def vectors(self, read: Tensor, mask: Tensor) -> tuple[Any, Any]:
        """Return the vectors (B, S, width) that the encoder reads, and their mask (B, S)."""
        ...

    def outputs(self, mask: Any) -> dict[str, Any]:
        """Return the model's outputs beside those of encoder and decoder, given `vectors`' mask."""
        ...


class TokenInputs:
    """Reads token ids, int32 (B, S), and passes their mask on."""

    names = SOURCE_INPUTS
    decoder_table = "decoder_token_embedding"

    def __init__(self, config: DecoderConfig, init: Any, dtype: Any) -> None:
        self.table = token_table(config, "token_embedding", init, dtype)

    def inputs(self) -> dict[str, Any]:
        return inputs_of_ids(*self.names)

    def vectors(self, read: Tensor, mask: Tensor) -> tuple[Any, Any]:
        return self.table(read), mask

    def outputs(self, mask: Any) -> dict[str, Any]:
        return {}


class AudioInputs:
    """Reads samples, float32 (B, samples, 1), and their mask (B, samples)."""

    names = AUDIO_INPUTS
    decoder_table = "token_embedding"
    table: TokenEmbedding | None = None

    def __init__(self, config: AudioConfig, init: Any, dtype: Any) -> None:
        self.frames = AudioFrames(config, init, dtype=dtype, name="audio")

    def inputs(self) -> dict[str, Any]:
        samples, mask = self.names
        return {
            samples: keras.Input((None, 1), dtype="float32", name=samples),
            mask: keras.Input((None,), dtype="bool", name=mask),
        }

    def vectors(self, read: Tensor, mask: Tensor) -> tuple[Any, Any]:
        return self.frames(read, mask)

    def outputs(self, mask: Any) -> dict[str, Any]:
        return {"encoder_attention_mask": mask}


def make_source(config: DecoderConfig | AudioConfig, init: Any, dtype: Any) -> EncoderInputs:
    """Make the layers before an encoder of this configuration."""
    if isinstance(config, AudioConfig):
        return AudioInputs(config, init, dtype)
    return TokenInputs(config, init, dtype)


def token_table(config: DecoderConfig, name: str, init: Any, dtype: Any) -> TokenEmbedding:
    """Make a token embedding that is also an output projection."""
    return TokenEmbedding(
        config.vocabulary_size,
        config.width,
        tie_weights=config.tied,
        embeddings_initializer=init,
        logit_soft_cap=config.final_soft_cap,
        dtype=dtype,
        name=name,
    )
