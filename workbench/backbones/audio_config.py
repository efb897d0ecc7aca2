"""What an encoder of recordings is made of."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.backbones.config import StackConfig


@dataclass(frozen=True)
class Convolution:
    """One along time, without padding: `width` inputs make an output, `stride` inputs further
    the next."""

    width: int
    stride: int
    channels_in: int
    channels_out: int

    @property
    def parameters(self) -> int:
        """Numbers in its kernel."""
        return self.width * self.channels_in * self.channels_out


@dataclass(frozen=True, kw_only=True, repr=False)
class AudioConfig(StackConfig):
    """A stack that reads recordings, samples that three convolutions turn into frames
    (Jeffries et al. 2024)."""

    @property
    def convolutions(self) -> tuple[Convolution, Convolution, Convolution]:
        """From samples to frames, 384 samples each."""
        wide = 2 * self.width
        return (
            Convolution(127, 64, 1, self.width),
            Convolution(7, 3, self.width, wide),
            Convolution(3, 2, wide, self.width),
        )

    @property
    def matrix_parameters(self) -> int:
        """Parameters in the matrices (norms and biases left out)."""
        kernels = sum(convolution.parameters for convolution in self.convolutions)
        return super().matrix_parameters + kernels
