"""The four samplers that draw from one distribution. They differ in settings only and share one
compiled program, `choose.choose`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, TypedDict, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from workbench.samplers.checks import integer, number, optional_integer, within_vocabulary
from workbench.samplers.choose import choose, draw
from workbench.samplers.history import History
from workbench.samplers.sampler import Sampler
from workbench.samplers.step_settings import StepSettings


class Common(TypedDict, total=False):
    """Keyword arguments of all four; `Sampler` describes them. Tokens less likely than `min_p`
    times the likeliest one are never drawn; `min_p` is a number from 0 to below 1."""

    temperature: float
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float


class DistributionSampler(Sampler):
    """What the four samplers share. A subclass that overrides `get_next_token` gets a program of
    its own."""

    min_p = number("min_p")

    _greedy: ClassVar[bool] = False

    def __init__(self, *, min_p: float = 0.0, **common: Any) -> None:
        super().__init__(**common)
        self.min_p = min_p

    def settings(self) -> StepSettings:
        temperature = np.float32(0 if self._greedy else self.temperature)
        return super().settings()._replace(temperature=temperature, min_p=np.float32(self.min_p))

    @property
    def program(self) -> Hashable:
        return "distribution" if self._is_plain else super().program

    def choose(
        self,
        logits: jax.Array,
        settings: StepSettings,
        seeds: jax.Array,
        step: jax.Array | int,
        history: History,
    ) -> jax.Array:
        method = choose if self._is_plain else super().choose
        return method(logits, settings, seeds, step, history)

    @property
    def _is_plain(self) -> bool:
        return type(self).get_next_token is DistributionSampler.get_next_token

    def get_next_token(self, probabilities: jax.Array) -> jax.Array:
        """Draw a token for each row, (B,) int32, from probabilities (B, V) within the sampler's
        cuts. The temperature is not applied again: it has made the probabilities."""
        settings = self.settings()._replace(temperature=np.float32(not self._greedy))
        key = jax.random.wrap_key_data(self.seed_generator.next(), impl="threefry2x32")
        logits = jnp.log(jnp.asarray(probabilities, jnp.float32))
        return draw(logits, settings, jax.random.split(key, len(logits)))

    def get_config(self) -> dict[str, Any]:
        cut = {"min_p": self.min_p} if self.min_p else {}
        return super().get_config() | cut


class GreedySampler(DistributionSampler, closed=True):
    """Takes the likeliest token; of equals, the lowest id. Temperature, seed and `min_p` are
    accepted and have no effect; penalties have."""

    _greedy = True

    def __init__(self, *, seed: int | None = None, **common: Unpack[Common]) -> None:
        super().__init__(seed=seed, **common)


class RandomSampler(DistributionSampler, closed=True):
    """Draws from the whole distribution."""

    def __init__(self, seed: int | None = None, **common: Unpack[Common]) -> None:
        super().__init__(seed=seed, **common)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": self.seed}


class TopKSampler(DistributionSampler, closed=True):
    """Draws from exactly the `k` likeliest tokens; of equals, lower ids come first.

    ```python
    sampler = TopKSampler(k=40, temperature=0.8)
    sampler.k = 20  # from the next token on
    ```
    """

    k = integer("top_k")

    def __init__(self, k: int = 5, seed: int | None = None, **common: Unpack[Common]) -> None:
        super().__init__(seed=seed, **common)
        self.k = k

    def settings(self) -> StepSettings:
        return super().settings()._replace(top_k=np.int32(self.k))

    def check_vocabulary(self, vocabulary_size: int) -> None:
        within_vocabulary(self, "k", vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"k": self.k, "seed": self.seed}


class TopPSampler(DistributionSampler, closed=True):
    """Draws from the fewest likeliest tokens whose probabilities sum to at least `p` (Holtzman et
    al. 2020). With `k`, only the k likeliest tokens count."""

    p = number("top_p")
    k = optional_integer("top_k")

    def __init__(
        self,
        p: float = 0.1,
        k: int | None = None,
        seed: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(seed=seed, **common)
        self.p = p
        self.k = k

    def settings(self) -> StepSettings:
        return super().settings()._replace(top_k=np.int32(self.k or 0), top_p=np.float32(self.p))

    def check_vocabulary(self, vocabulary_size: int) -> None:
        within_vocabulary(self, "k", vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"p": self.p, "k": self.k, "seed": self.seed}
