"""The configuration of PARSeq: an image encoder, and a decoder of two streams."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.backbones.config import DecoderConfig, Learned, check_size
from workbench.backbones.vision_config import VisionConfig
from workbench.errors import SettingError

UNPREDICTED = 2
"""Tokens at the end of the vocabulary that are never predicted: start and padding."""


@dataclass(frozen=True)
class PARSeqConfig:
    """A vision transformer and a decoder that attends to it (Bautista and Atienza 2022). The
    decoder's positions are learned: its query stream begins with them."""

    vision: VisionConfig
    decoder: DecoderConfig

    def __post_init__(self) -> None:
        check_size("PARSeqConfig", "vocabulary_size", self.decoder.vocabulary_size - UNPREDICTED)
        learned_positions(self.decoder)

    @property
    def vocabulary_size(self) -> int:
        """The number of tokens, including the two that are never predicted."""
        return self.decoder.vocabulary_size

    @property
    def predicted(self) -> int:
        """The number of tokens that the head predicts."""
        return self.vocabulary_size - UNPREDICTED

    @property
    def max_length(self) -> int:
        """The longest sequence in tokens, start token included."""
        return learned_positions(self.decoder)

    @property
    def matrix_parameters(self) -> int:
        """Parameters in the matrices (norms and biases left out)."""
        width, layers = self.decoder.width, len(self.decoder.layers)
        heads = 2 * self.decoder.attention.heads + 2 * self.decoder.attention.kv_heads
        cross = width * heads * self.decoder.attention.head_dim * layers
        head = width * self.predicted
        return self.vision.matrix_parameters + self.decoder.matrix_parameters + cross + head

    def stretches(self, length: int) -> bool:
        """False: there are no rotary positions."""
        return False


def learned_positions(decoder: DecoderConfig) -> int:
    """Return how many positions a decoder has learned.

    Raises:
        SettingError: its positions are of another kind.
    """
    if not isinstance(decoder.position, Learned):
        raise SettingError(
            "PARSeqConfig: decoder: expected learned positions, got "
            f"{type(decoder.position).__name__}"
        )
    return decoder.position.length
