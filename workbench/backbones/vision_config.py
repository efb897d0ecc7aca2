"""The configuration of an image encoder, and of how its vectors enter a decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.backbones import config
from workbench.backbones.config import check_size
from workbench.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """A vision transformer without a class token (Dosovitskiy et al. 2021): patches of an image,
    learned positions, a bidirectional stack. Sizes are (height, width), in pixels."""

    image_size: tuple[int, int]
    patch_size: tuple[int, int]
    stack: config.StackConfig

    def __post_init__(self) -> None:
        for side, patch in zip(self.image_size, self.patch_size, strict=True):
            check_size("VisionConfig", "image_size", side, 2**14)
            check_size("VisionConfig", "patch_size", patch, side)
            if side % patch:
                raise SettingError(
                    f"VisionConfig: image_size: expected a multiple of the patch size {patch}, "
                    f"got {side}"
                )
        if self.stack.max_length != self.patches:
            raise SettingError(
                f"VisionConfig: expected a learned position for each of {self.patches} patches, "
                f"got {self.stack.max_length}"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        (height, width), (high, wide) = self.image_size, self.patch_size
        return height // high, width // wide

    @property
    def patches(self) -> int:
        """The number of vectors of an image."""
        return math.prod(self.grid)

    @property
    def matrix_parameters(self) -> int:
        """Parameters in the matrices (norms and biases left out)."""
        return self.stack.matrix_parameters + 3 * math.prod(self.patch_size) * self.stack.width


def vision_transformer(
    *,
    image_size: tuple[int, int],
    patch_size: tuple[int, int],
    width: int,
    layers: int,
    heads: int,
    mlp_width: int,
    activation: config.Activation = "gelu_tanh",
    epsilon: float = 1e-6,
    bias: bool = True,
    dropout: float = 0.0,
) -> VisionConfig:
    """Configure the usual vision transformer: pre-norm blocks with multi-head attention."""
    owner = "vision encoder"
    sides = zip(image_size, patch_size, strict=True)
    for side, patch in sides:
        check_size(owner, "image_size", side, 2**14)
        check_size(owner, "patch_size", patch, side)
    patches = math.prod(s // p for s, p in zip(image_size, patch_size, strict=True))
    head_dim = config.head_width(owner, width, heads)
    stack = config.StackConfig(
        width=width,
        layers=(config.LayerSpec(),) * config.layer_count(owner, layers),
        position=config.Learned(patches),
        norm=config.LayerNorm(epsilon),
        attention=config.Attention(
            heads,
            heads,
            head_dim,
            scale=head_dim**-0.5,
            bias=bias,
            output_bias=bias,
            causal=False,
        ),
        mlp=config.Dense(mlp_width, activation),
        dropout=dropout,
    )
    return VisionConfig(image_size=image_size, patch_size=patch_size, stack=stack)


@dataclass(frozen=True)
class Linear:
    """A connector that projects each vector to the decoder's width, with a bias."""


@dataclass(frozen=True)
class Pooled:
    """A connector that averages squares of `size` x `size` patches, norms the averages and projects
    them to the decoder's width, without a bias."""

    size: int
    norm: config.RMSNorm


@dataclass(frozen=True)
class ImagePrefix:
    """How images enter a decoder's text.

    `vision` encodes them and `connector` projects their vectors to the decoder's width; these are
    not scaled as token vectors are. With `whole_prompt`, images are at the beginning and attention
    over the whole prompt is bidirectional; otherwise the tokens of each image attend to each other
    wherever they are.
    """

    vision: VisionConfig
    connector: Linear | Pooled
    whole_prompt: bool

    def __post_init__(self) -> None:
        size = self.connector.size if isinstance(self.connector, Pooled) else 1
        check_size("ImagePrefix", "pool size", size, min(self.vision.grid))
        if any(side % size for side in self.vision.grid):
            raise SettingError(
                f"ImagePrefix: pool size: expected a divisor of {self.vision.grid}, got {size}"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of an image's vectors in the decoder."""
        size = self.connector.size if isinstance(self.connector, Pooled) else 1
        rows, columns = self.vision.grid
        return rows // size, columns // size

    @property
    def tokens(self) -> int:
        """The number of tokens that an image takes in the decoder."""
        return math.prod(self.grid)
