"""What a PARSeq is made of: an image encoder, and a decoder of two streams."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.backbones.config import DecoderConfig, Learned, check_size
from workbench.backbones.vision_config import VisionConfig
from workbench.errors import SettingError

UNPREDICTED = 2
"""Tokens at the end of the vocabulary that are never written: the start and the padding."""


@dataclass(frozen=True)
class PARSeqConfig:
    """A vision transformer, and a decoder that reads its vectors (Bautista and Atienza 2022). The
    decoder's positions are learned: they are what its query stream begins with."""

    vision: VisionConfig
    decoder: DecoderConfig

    def __post_init__(self) -> None:
        check_size("PARSeqConfig", "vocabulary_size", self.decoder.vocabulary_size - UNPREDICTED)
        if not isinstance(self.decoder.position, Learned):
            raise SettingError(
                "PARSeqConfig: decoder: expected learned positions, got "
                f"{type(self.decoder.position).__name__}"
            )

    @property
    def vocabulary_size(self) -> int:
        """Tokens there are, the two that are never written among them."""
        return self.decoder.vocabulary_size

    @property
    def predicted(self) -> int:
        """Tokens the head chooses from."""
        return self.vocabulary_size - UNPREDICTED

    @property
    def max_length(self) -> int:
        """Tokens a sequence may have: the start, the longest label, or one less and the end."""
        return self.decoder.position.length

    @property
    def matrix_parameters(self) -> int:
        """Parameters in the matrices (norms and biases left out)."""
        width, layers = self.decoder.width, len(self.decoder.layers)
        heads = 2 * self.decoder.attention.heads + 2 * self.decoder.attention.kv_heads
        cross = width * heads * self.decoder.attention.head_dim * layers
        head = width * self.predicted
        return self.vision.matrix_parameters + self.decoder.matrix_parameters + cross + head

    def stretches(self, length: int) -> bool:
        """Never: no rotary positions."""
        return False
