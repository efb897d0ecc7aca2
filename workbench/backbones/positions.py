"""The ways in which a transformer knows the positions of tokens, as values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.backbones.limits import SIZE_OR_NONE, check_positive, check_size
from workbench.errors import SettingError


@dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's rope scaling: stretches long wavelengths by `factor` and keeps short ones.

    Source: the Llama 3 release (`rope_type: llama3` in Transformers configs).
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_length: int

    def __post_init__(self) -> None:
        for name in ("factor", "low_freq_factor", "high_freq_factor"):
            check_positive("Llama3Scaling", name, getattr(self, name))
        check_size("Llama3Scaling", "original_length", self.original_length)
        if self.high_freq_factor <= self.low_freq_factor:
            raise SettingError(
                "Llama3Scaling: high_freq_factor: expected more than low_freq_factor "
                f"({self.low_freq_factor}), got {self.high_freq_factor}"
            )


@dataclass(frozen=True)
class LongScaling:
    """Phi-3's longrope (Ding et al. 2024): divides each frequency by its own factor.

    A sequence that stays within `original_length` uses the short factors, a longer one the long
    factors. Both scale queries and keys by `magnitude`.
    """

    short_factors: tuple[float, ...]
    long_factors: tuple[float, ...]
    original_length: int
    max_length: int

    def __post_init__(self) -> None:
        check_size("LongScaling", "original_length", self.original_length)
        check_size("LongScaling", "max_length", self.max_length)
        for factor in (*self.short_factors, *self.long_factors):
            check_positive("LongScaling", "factor", factor)

    @property
    def magnitude(self) -> float:
        """The factor on cosine and sine."""
        stretch = self.max_length / self.original_length
        if stretch <= 1 or self.original_length == 1:
            return 1.0
        return math.sqrt(1 + math.log(stretch) / math.log(self.original_length))


@dataclass(frozen=True)
class Rope:
    """Rotary positions (Su et al. 2021). Positions are divided by `linear_factor`.

    Feature i of a head's first half is paired with feature i of its second half; if `interleaved`,
    each even feature is paired with the next one. The first `turned` features of a head rotate,
    None for all.
    """

    max_wavelength: float = 10_000.0
    linear_factor: float = 1.0
    scaling: Llama3Scaling | LongScaling | None = None
    interleaved: bool = False
    turned: int | None = None

    def __post_init__(self) -> None:
        check_positive("Rope", "max_wavelength", self.max_wavelength)
        check_positive("Rope", "linear_factor", self.linear_factor)
        SIZE_OR_NONE.check("Rope: turned", self.turned)

    def turns(self, head_dim: int) -> int:
        """Return how many features of a head rotate."""
        return head_dim if self.turned is None else self.turned

    def check_head(self, head_dim: int) -> None:
        """Refuse a head size that these rotations do not fit.

        Raises:
            SettingError: it does not fit; the message names the field.
        """
        turned = self.turns(head_dim)
        if turned % 2 or turned > head_dim:
            name = "head_dim" if self.turned is None else "turned"
            raise SettingError(
                f"Rope: {name}: expected an even number for rotary positions, at most head_dim "
                f"({head_dim}), got {turned}"
            )
        if isinstance(self.scaling, LongScaling):
            for factors in (self.scaling.short_factors, self.scaling.long_factors):
                if len(factors) != turned // 2:
                    raise SettingError(
                        f"LongScaling: expected head_dim / 2 = {turned // 2} factors, "
                        f"got {len(factors)}"
                    )


@dataclass(frozen=True)
class Alibi:
    """No position vectors: scores fall linearly with distance (Press et al. 2022).

    If `scaled`, the penalty is added before the scores are scaled (Falcon), else after (BLOOM).
    """

    scaled: bool = False


@dataclass(frozen=True)
class Learned:
    """A learned table of absolute positions, `length` rows."""

    length: int

    def __post_init__(self) -> None:
        check_size("Learned", "length", self.length)
