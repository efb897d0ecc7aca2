"""What beam search and contrastive search share: they compare scores and draw nothing."""

from __future__ import annotations

import numpy as np

from workbench.samplers.checks import number_above_low
from workbench.samplers.sampler import Sampler
from workbench.samplers.step_settings import StepSettings


class SearchSampler(Sampler):
    """A sampler without seed, cuts and penalties. Its temperature is above 0."""

    temperature = number_above_low("temperature")

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def settings(self) -> StepSettings:
        return StepSettings(temperature=np.float32(self.temperature))

    @property
    def initial_seed(self) -> None:
        return None
