"""Gemma 3's pictures: the settings of its image encoder, and the image converter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from workbench.backbones import config
from workbench.backbones.config import check_size
from workbench.backbones.vision_config import ImagePrefix, Pooled, VisionConfig, vision_transformer
from workbench.errors import SettingError
from workbench.images import ImageConverter


@dataclass(frozen=True)
class Gemma3VisionEncoder:
    """Settings of Gemma 3's image encoder (SigLIP, Zhai et al. 2023), with KerasHub's arguments.

    It is a plain value: the backbone builds the layers, in its dtype.

    Args:
        image_size: height and width of a picture, in pixels.
        patch_size: height and width of a patch, in pixels; a divisor of image_size.
        num_heads: attention heads.
        hidden_dim: width.
        num_layers: number of blocks.
        intermediate_dim: inner width of the feed-forward network.
        output_dim: width of the decoder.
        pool_size: squares of pool_size x pool_size patches become one vector.
        layer_norm_epsilon: epsilon of every norm.

    Raises:
        SettingError: an argument is impossible.
    """

    image_size: int
    patch_size: int
    num_heads: int
    hidden_dim: int
    num_layers: int
    intermediate_dim: int
    output_dim: int
    pool_size: int = 14
    layer_norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_size("Gemma3VisionEncoder", "output_dim", self.output_dim)
        self.prefix()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild it from `get_config()`."""
        return cls(**config)

    @property
    def tokens(self) -> int:
        """The number of places in the text that a picture takes."""
        return self.prefix().tokens

    def vision(self) -> VisionConfig:
        """The encoder's configuration."""
        return vision_transformer(
            image_size=(self.image_size, self.image_size),
            patch_size=(self.patch_size, self.patch_size),
            width=self.hidden_dim,
            layers=self.num_layers,
            heads=self.num_heads,
            mlp_width=self.intermediate_dim,
            epsilon=self.layer_norm_epsilon,
        )

    def prefix(self) -> ImagePrefix:
        """The arrangement of pictures in the decoder's text."""
        norm = config.RMSNorm(self.layer_norm_epsilon, offset=1.0)
        return ImagePrefix(self.vision(), Pooled(self.pool_size, norm), whole_prompt=False)


def image_prefix(
    encoder: Gemma3VisionEncoder | None, image_size: int | None, width: int
) -> ImagePrefix | None:
    """Return the arrangement of pictures in the text of a decoder of this width; None without an
    encoder.

    Raises:
        SettingError: the encoder does not fit the decoder.
    """
    if encoder is None:
        return None
    if not isinstance(encoder, Gemma3VisionEncoder):
        raise SettingError(
            "Gemma3Backbone: vision_encoder: expected a Gemma3VisionEncoder or None, got "
            f"{type(encoder).__name__}"
        )
    for name, own, fitting in (
        ("output_dim", encoder.output_dim, width),
        ("image_size", encoder.image_size, image_size),
    ):
        if own != fitting:
            raise SettingError(
                f"Gemma3Backbone: vision_encoder: {name}: expected the backbone's, {fitting}, "
                f"got {own}"
            )
    return encoder.prefix()


class Gemma3ImageConverter(ImageConverter):
    """Resizes and scales pictures for Gemma 3, in float32."""
