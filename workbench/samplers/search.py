"""What beam and contrastive search share: they follow scores instead of drawing."""

from __future__ import annotations

import numpy as np

from workbench.samplers.checks import LARGEST, Setting
from workbench.samplers.sampler import Sampler
from workbench.samplers.settings import Settings


class SearchSampler(Sampler):
    """A sampler without seed, cuts and penalties; its temperature is above 0."""

    temperature = Setting(float, "a finite number above 0", lambda value: 0 < value <= LARGEST)

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def settings(self) -> Settings:
        return Settings(temperature=np.float32(self.temperature))

    @property
    def initial_seed(self) -> None:
        return None
