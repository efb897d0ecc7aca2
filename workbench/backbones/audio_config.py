"""The configuration of an audio encoder."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.backbones.config import StackConfig


@dataclass(frozen=True)
class Convolution:
    """A convolution over time without padding; `width` is the kernel's, in samples or frames."""

    width: int
    stride: int
    channels_in: int
    channels_out: int

    @property
    def parameters(self) -> int:
        """The number of parameters in its kernel."""
        return self.width * self.channels_in * self.channels_out


@dataclass(frozen=True, kw_only=True, repr=False)
class AudioConfig(StackConfig):
    """An encoder of audio: three convolutions turn samples into frames, which the stack reads
    (Moonshine; Jeffries et al. 2024)."""

    @property
    def convolutions(self) -> tuple[Convolution, Convolution, Convolution]:
        """The convolutions from samples to frames of 384 samples."""
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
