"""The configuration of an encoder-decoder: one for each side."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workbench.backbones.audio_config import AudioConfig
from workbench.backbones.config import MAX_PARAMETERS, DecoderConfig, Parallel
from workbench.errors import SettingError


def as_encoder(side: DecoderConfig) -> DecoderConfig:
    """Make the configuration bidirectional."""
    return replace(side, attention=replace(side.attention, causal=False))


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """An encoder of tokens or audio, and a decoder that attends to its output.

    If `shared`, the encoder's token table embeds both sides' tokens and is the output projection.
    Otherwise each side that reads tokens has its own table, and the decoder's is the output
    projection.
    """

    encoder: DecoderConfig | AudioConfig
    decoder: DecoderConfig
    shared: bool = False

    def __post_init__(self) -> None:
        if self.encoder.attention.causal or not self.decoder.attention.causal:
            raise SettingError(
                "EncoderDecoderConfig: attention: expected a bidirectional encoder and a causal "
                "decoder"
            )
        if Parallel in (type(self.encoder.block), type(self.decoder.block)):
            raise SettingError("EncoderDecoderConfig: block: expected no parallel blocks")
        if self.shared and isinstance(self.encoder, AudioConfig):
            raise SettingError(
                "EncoderDecoderConfig: shared: expected False for an encoder of audio"
            )
        for name in ("vocabulary_size", "width") if self.shared else ():
            sides = getattr(self.encoder, name), getattr(self.decoder, name)
            if sides[0] != sides[1]:
                raise SettingError(
                    f"EncoderDecoderConfig: {name}: expected one for a shared table, got "
                    f"{sides[0]} and {sides[1]}"
                )
        if self.matrix_parameters > MAX_PARAMETERS:
            raise SettingError(
                f"EncoderDecoderConfig: expected at most {MAX_PARAMETERS} parameters, "
                f"got {self.matrix_parameters} from {self}"
            )

    @property
    def vocabulary_size(self) -> int:
        """The size of the decoder's vocabulary."""
        return self.decoder.vocabulary_size

    @property
    def max_length(self) -> int | None:
        """The longest sequence the decoder's positions allow, in tokens; None without a limit."""
        return self.decoder.max_length

    @property
    def max_source_length(self) -> int | None:
        """The longest sequence the encoder's positions allow, in tokens; None without a limit."""
        return self.encoder.max_length

    @property
    def matrix_parameters(self) -> int:
        """Parameters in the matrices (norms and biases left out)."""
        attention = self.decoder.attention
        inner = attention.heads * self.decoder.width + attention.kv_heads * self.encoder.width
        cross = 2 * inner * attention.head_dim * len(self.decoder.layers)
        saved = 0  # the decoder's table, where it is the encoder's
        if self.shared and isinstance(self.encoder, DecoderConfig):
            saved = self.encoder.vocabulary_size * self.encoder.width
        return self.encoder.matrix_parameters + self.decoder.matrix_parameters + cross - saved

    def stretches(self, length: int) -> bool:
        """Whether decoded sequences of `length` tokens need the long factors of longrope."""
        return self.decoder.stretches(length)
