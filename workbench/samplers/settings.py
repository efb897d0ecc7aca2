"""The settings of samplers, in one table: what constructors check, panels draw, the command line
offers and the README lists. This file imports neither JAX nor Keras, so a form can be shown before
either is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from workbench.kinds import FLAG, INTEGER, NUMBER, Kind

LARGEST_FLOAT = 3.4e38  # a setting travels as float32
LARGEST_INTEGER = 2**31 - 1  # or as int32


@dataclass(frozen=True, slots=True)
class Setting:
    """A number, or a truth value, that shapes what a sampler writes.

    Attributes:
        name: its name in panels, on the command line and in `StepSettings`.
        label: its name on a panel.
        does: what it does, in one line.
        kind: the type of its values.
        low, high: the least and the largest value.
        open_low, open_high: whether that bound itself is left out.
        default: what a sampler has when nothing is said.
        off: the value at which it changes nothing, None where it always counts. It may lie outside
            of the bounds, where only leaving the setting out turns it off.
        start: what a panel begins with.
        slider: the ends of its slider; None where panels have none.
        step: how far a press of a key moves the slider.
        argument: its name in the constructors of samplers, where that is another.
    """

    name: str
    label: str
    does: str
    kind: type[float] | type[int] | type[bool] = float
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    default: float | None = None
    off: float | None = None
    start: float | None = None
    slider: tuple[float, float] | None = None
    step: float = 0.01
    argument: str = ""

    @property
    def keyword(self) -> str:
        """The argument of a sampler's constructor."""
        return self.argument or self.name

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        if self.kind is bool:
            return "True or False"
        noun = "an integer" if self.kind is int else "a number"
        if math.isinf(self.high):
            return _from(noun if self.kind is int else "a finite number", self.low, self.open_low)
        if self.open_low:
            return f"{noun} above {self.low:g}, at most {self.high:g}"
        below = "below " if self.open_high else ""
        return f"{noun} from {self.low:g} to {below}{self.high:.10g}"

    @property
    def values(self) -> Kind:
        """The values it may have."""
        return Kind(self.expected, self._fits)

    def check(self, value: object, where: str = "") -> float:
        """The value as a plain Python one of the setting's type.

        Args:
            value: what somebody gave.
            where: what the error names; the setting itself unless said.

        Raises:
            SettingError: it is of another type or out of bounds.
        """
        self.values.check(where or self.name, value)
        return self.kind(value)  # pyright: ignore[reportArgumentType] (checked in the line above)

    def above_low(self) -> Setting:
        """The same setting without its least value."""
        return replace(self, open_low=True)

    def with_off(self) -> Setting:
        """The same setting with bounds, and a slider, that take in the value at which it is off."""
        if self.off is None or self.off >= self.low:
            return self
        slider = None if self.slider is None else (self.off, self.slider[1])
        return replace(self, low=self.off, slider=slider)

    def _fits(self, value: object) -> bool:
        if self.kind is bool:
            return FLAG.fits(value)
        if not (INTEGER if self.kind is int else NUMBER).fits(value):
            return False
        limit = LARGEST_INTEGER if self.kind is int else LARGEST_FLOAT
        number: float = value  # pyright: ignore[reportAssignmentType] (an int or a float, checked above)
        low, high = self.low, limit if math.isinf(self.high) else self.high
        above = low < number if self.open_low else low <= number
        below = number < high if self.open_high else number <= high
        return above and below and number >= -limit


def _from(noun: str, low: float, is_open: bool) -> str:
    """Bounds without an upper end, in words."""
    if math.isinf(low):
        return noun
    return f"{noun} above {low:g}" if is_open else f"{noun} from {low:g} on"


# What a draw depends on, in the order of `StepSettings`.
DRAWING = (
    Setting(
        "temperature",
        "Temperature",
        "divides the logits: below 1 sharpens the distribution, above 1 flattens it, 0 takes the "
        "likeliest token",
        low=0,
        default=1.0,
        start=0.8,
        slider=(0, 2),
    ),
    Setting(
        "top_k",
        "Top-k",
        "keeps that many of the likeliest tokens",
        kind=int,
        low=1,
        default=5,
        off=0,
        start=40,
        slider=(1, 100),
        step=1,
        argument="k",
    ),
    Setting(
        "top_p",
        "Top-p",
        "keeps the fewest likeliest tokens whose probability reaches it",
        low=0,
        high=1,
        open_low=True,
        default=0.1,
        off=1.0,
        start=0.92,
        slider=(0.01, 1),
        argument="p",
    ),
    Setting(
        "min_p",
        "Min-p",
        "drops tokens below this share of the largest probability",
        low=0,
        high=1,
        open_high=True,
        default=0.0,
        off=0.0,
        start=0.0,
        slider=(0, 0.5),
    ),
    Setting(
        "repetition_penalty",
        "Repetition",
        "above 1 makes tokens of the prompt and the completion less likely",
        low=0,
        open_low=True,
        default=1.0,
        off=1.0,
        start=1.0,
        slider=(1, 2),
    ),
    Setting(
        "presence_penalty",
        "Presence",
        "is subtracted from the logit of every token generated so far",
        default=0.0,
        off=0.0,
    ),
    Setting(
        "frequency_penalty",
        "Frequency",
        "is subtracted from the logit of a token as often as it was generated",
        default=0.0,
        off=0.0,
    ),
)
SEED = Setting(
    "seed",
    "Seed",
    "makes the draws repeatable; without one, every call draws anew",
    kind=int,
    low=0,
    high=2**32 - 1,
    start=0,
    slider=(0, 2**32 - 1),
    step=1,
)
SEARCHING = (
    Setting(
        "num_beams",
        "Beams",
        "is how many completions a beam search keeps",
        kind=int,
        low=1,
        default=5,
    ),
    Setting(
        "return_all_beams",
        "All beams",
        "returns all of them with their scores, not the best alone",
        kind=bool,
        default=False,
    ),
    Setting(
        "alpha",
        "Alpha",
        "weighs unlikeness against probability in contrastive search",
        low=0,
        high=1,
        default=0.6,
    ),
)
SETTINGS: Mapping[str, Setting] = {
    setting.name: setting for setting in (*DRAWING, SEED, *SEARCHING)
}
CUTS = ("temperature", "top_k", "top_p", "min_p")  # what shapes one distribution by itself
_SHAPING = ("temperature", "min_p", "repetition_penalty")


@dataclass(frozen=True, slots=True)
class NamedSampler:
    """A sampler that can be asked for by name.

    Attributes:
        label: its name on a panel.
        class_name: its class in `workbench.samplers`.
        controls: the settings that panels show for it.
        streams: whether it writes token by token, so that panels and the command line offer it.
    """

    label: str
    class_name: str
    controls: tuple[str, ...] = ()
    streams: bool = True


SAMPLERS: Mapping[str, NamedSampler] = {
    "beam": NamedSampler("beam", "BeamSampler", streams=False),
    "contrastive": NamedSampler("contrastive", "ContrastiveSampler", streams=False),
    "greedy": NamedSampler("greedy", "GreedySampler"),
    "random": NamedSampler("random", "RandomSampler", _SHAPING),
    "top_k": NamedSampler("top-k", "TopKSampler", ("top_k", *_SHAPING)),
    "top_p": NamedSampler("top-p", "TopPSampler", ("top_p", *_SHAPING)),
}
STREAMING = {name: sampler for name, sampler in SAMPLERS.items() if sampler.streams}
