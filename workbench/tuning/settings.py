"""The settings of a training run, checked when made, so that no impossible value reaches a compiled
step.

The learning rate rises in a straight line over the warm-up steps and falls to 0 at the end, along
half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983) or a straight line, or stays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, Self

from workbench.backbones.adapter import AdapterConfig
from workbench.backbones.adapter_targets import EVERY
from workbench.backbones.adapters import Adapters
from workbench.errors import SettingError, present, shown

Schedule = Literal["cosine", "linear", "constant"]
SCHEDULES = ("cosine", "linear", "constant")
LARGEST = 3.4e38  # numbers travel as float32
MOST = 2**31 - 1
WARMUP_SHARE = 0.05
TIMES_A_RUN = 10
_PLANNED = "planned settings: call planned() first"
SHAPING = ("rank", "alpha", "dropout", "targets")  # what an adapter is made with


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """The settings of a training run. `planned` fills in those that follow from the data.

    Args:
        rank: rank of the low-rank updates.
        alpha: the updates are scaled by alpha / rank; None for alpha = rank.
        dropout: share of the inputs of an update that is dropped in training, 0 to below 1.
        targets: names of the adapted projections, such as "query", or "all"; None for query and
            value.
        learning_rate: AdamW's highest learning rate.
        schedule: "cosine", "linear" or "constant".
        warmup_steps: None for 5 % of the steps.
        steps: optimizer steps; or
        epochs: how often each example is seen. Without either: once.
        batch_size: rows per batch.
        accumulate: batches per optimizer step; their gradients are added up.
        length: most tokens per row; None for the model's own limit.
        packing: whether several examples share a row.
        weight_decay: AdamW's weight decay; 0 for none.
        clip_norm: largest gradient norm; larger gradients are scaled down to it. None: no limit.
        remat: compute activations again in the backward pass, which saves memory and costs time.
        seed: seed of the adapter's first values, dropout and the order of the data.
        validation_every: steps between two validations; None for about ten in a run, 0 for none.
        sample_every: steps between two rounds of sample completions; None for the steps of the
            validation, 0 for none.
        sample_prompts: prompts that the model completes to show what it has learned: strings, or
            other inputs of `lm.generate`.
        sample_tokens: most new tokens of a sample.
        save_every: steps between two checkpoints; None for one about every half minute, 0 for
            none except at a pause and at the end.

    Raises:
        SettingError: a value is impossible.
    """

    rank: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    targets: tuple[str, ...] | str | None = None
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    warmup_steps: int | None = None
    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 8
    accumulate: int = 1
    length: int | None = None
    packing: bool = False
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    remat: bool = False
    seed: int = 0
    validation_every: int | None = None
    sample_every: int | None = None
    sample_prompts: tuple[str | Mapping[str, Any], ...] = ()
    sample_tokens: int = 60
    save_every: int | None = None

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            object.__setattr__(self, name, rule.checked(name, getattr(self, name)))
        if self.steps is not None and self.epochs is not None:
            _refuse("steps, epochs", "one of the two", f"{self.steps} and {self.epochs}")
        if self.steps is not None and (self.warmup_steps or 0) > self.steps:
            _refuse("warmup_steps", f"at most the {self.steps} steps", self.warmup_steps)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make settings from keyword arguments or from a file's values.

        Raises:
            SettingError: there is no such setting, or a value is impossible.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise SettingError(
                f"training: there is no setting {', '.join(unknown)}: expected some of "
                f"{', '.join(names)}"
            )
        return cls(**values)

    def planned(self, batches_per_epoch: int) -> Self:
        """Return these settings with the steps, the warm-up and the steps between two validations
        and samples filled in.

        Args:
            batches_per_epoch: batches that show every example once.
        """
        steps = self.steps
        if steps is None:
            epochs = 1.0 if self.epochs is None else self.epochs
            steps = max(1, round(epochs * batches_per_epoch / self.accumulate))
        warmup = self.warmup_steps
        often = max(1, round(steps / TIMES_A_RUN))
        every = often if self.validation_every is None else self.validation_every
        return dataclasses.replace(
            self,
            steps=steps,
            epochs=None,
            warmup_steps=round(WARMUP_SHARE * steps) if warmup is None else warmup,
            validation_every=every,
            sample_every=(every or often) if self.sample_every is None else self.sample_every,
        )

    @property
    def total_steps(self) -> int:
        """The steps of the run; the settings are `planned`."""
        return present(self.steps, _PLANNED)

    @property
    def validation_steps(self) -> int:
        """The steps between two validations, 0 for none; the settings are `planned`."""
        return present(self.validation_every, _PLANNED)

    @property
    def sample_steps(self) -> int:
        """The steps between two rounds of samples, 0 for none; the settings are `planned`."""
        return present(self.sample_every, _PLANNED)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0; the settings are `planned`.

        The last warm-up step and the step after it have the full rate. A step after the last one
        would have rate 0, except with the constant schedule.
        """
        if self.steps is None or self.warmup_steps is None:
            raise SettingError("learning_rate_at: expected planned settings, call planned() first")
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * _REMAINING[self.schedule](min(done, 1.0))


def settings_for(adapters: Adapters, name: str, given: Mapping[str, Any]) -> TuneSettings:
    """Return the settings of a run that trains this adapter. An existing adapter keeps its rank,
    alpha, dropout and targets.

    Raises:
        SettingError: a setting is impossible, or differs from the existing adapter's.
    """
    chosen = TuneSettings.of(given)
    if name not in adapters:
        return chosen
    has = adapters[name].config
    rank = chosen.rank if "rank" in given else has.rank
    asked = AdapterConfig(rank, chosen.alpha, chosen.dropout, has.targets)
    same = {
        "rank": asked.rank == has.rank,
        "alpha": asked.scale == has.scale,
        "dropout": asked.dropout == has.dropout,
        "targets": "targets" not in given
        or set(adapters.shapes_of(chosen.targets)) == set(adapters[name].updates),
    }
    for setting, equal in same.items():
        if setting in given and not equal:
            raise SettingError(
                f"training: {setting}: adapter {name!r} is there already and has "
                f"{getattr(has, setting)}: expected that, got {given[setting]!r}; another name "
                "makes a new adapter"
            )
    values = {setting: getattr(has, setting) for setting in same}
    return dataclasses.replace(chosen, **values)


_REMAINING: Mapping[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done: 1 - done,
    "constant": lambda done: 1.0,
}


class _Rule(NamedTuple):
    """The allowed values of a setting. `made` returns the value, or raises ValueError."""

    expected: str
    made: Callable[[Any], Any]
    optional: bool = False

    def checked(self, name: str, value: Any) -> Any:
        if value is None and self.optional:
            return None
        try:
            return self.made(value)
        except (TypeError, ValueError, OverflowError):
            _refuse(name, self.expected + (" or None" if self.optional else ""), value)


def _refuse(name: str, expected: str, got: object) -> None:
    raise SettingError(f"training: {name}: expected {expected}, got {shown(got)}")


def _whole(least: int, optional: bool = False) -> _Rule:
    def made(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError
        number = int(value)
        if not least <= number <= MOST:
            raise ValueError
        return number

    return _Rule(f"an integer from {least} to {MOST}", made, optional)


def _number(expected: str, holds: Callable[[float], bool], optional: bool = False) -> _Rule:
    def made(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError
        number = float(value)
        if not (abs(number) <= LARGEST and holds(number)):
            raise ValueError
        return number

    return _Rule(expected, made, optional)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _schedule(value: Any) -> str:
    if not isinstance(value, str) or value not in SCHEDULES:
        raise ValueError
    return value


def _names(value: Any) -> tuple[str, ...] | str:
    if value == EVERY:
        return EVERY
    names = tuple(value)
    if isinstance(value, str) or not names:
        raise TypeError
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise ValueError
    return names


def _prompts(value: Any) -> tuple[str | Mapping[str, Any], ...]:
    prompts = (value,) if isinstance(value, str | Mapping) else value
    if not isinstance(prompts, Iterable):
        raise TypeError
    prompts = tuple(prompts)
    if not all(isinstance(prompt, str | Mapping) and prompt for prompt in prompts):
        raise ValueError
    return prompts


_POSITIVE = "a finite number above 0"
_RULES: Mapping[str, _Rule] = {
    "rank": _whole(1),
    "alpha": _number(_POSITIVE, lambda value: value > 0, optional=True),
    "dropout": _number("a number from 0 to below 1", lambda value: 0 <= value < 1),
    "targets": _Rule(f"different names in a list or tuple, or {EVERY!r}", _names, optional=True),
    "learning_rate": _number(_POSITIVE, lambda value: value > 0),
    "schedule": _Rule(f"one of {', '.join(SCHEDULES)}", _schedule),
    "warmup_steps": _whole(0, optional=True),
    "steps": _whole(1, optional=True),
    "epochs": _number(_POSITIVE, lambda value: value > 0, optional=True),
    "batch_size": _whole(1),
    "accumulate": _whole(1),
    "length": _whole(2, optional=True),
    "packing": _Rule("True or False", _truth),
    "weight_decay": _number("a finite number from 0 on", lambda value: value >= 0),
    "clip_norm": _number(_POSITIVE, lambda value: value > 0, optional=True),
    "remat": _Rule("True or False", _truth),
    "seed": _whole(0),
    "validation_every": _whole(0, optional=True),
    "sample_every": _whole(0, optional=True),
    "sample_prompts": _Rule("prompts, none of them empty", _prompts),
    "sample_tokens": _whole(1),
    "save_every": _whole(0, optional=True),
}
