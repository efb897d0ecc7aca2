"""The content of a checkpoint, and its encoding as a JSON table and named arrays.

Every value is checked when it is read, because files are untrusted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank
from workbench.errors import CheckpointError
from workbench.storage.json_files import shown
from workbench.tuning.events import Problem, Sample, Step, Validation
from workbench.tuning.feed import Facts
from workbench.tuning.history import Best, History, columns
from workbench.tuning.settings import TuneSettings

FORMAT = 2
LARGEST_INTEGER = 2**63 - 1
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """A run between two steps.

    Attributes:
        name: the adapter's name in the model.
        adapter: the adapter's configuration.
        settings: the planned settings, without sample prompts that are not strings.
        step: the number of finished steps.
        state: the trainer's state: the adapter, the optimizer, the random state, `step`.
        history: the run's history.
        best: the adapter with the lowest held-out loss.
        facts: values that identify the data and the model.
        validation: the share or number of held-out examples; None if other data were given.
    """

    name: str
    adapter: AdapterConfig
    settings: TuneSettings
    step: int
    state: Mapping[str, np.ndarray]
    history: History
    best: Best | None = None
    facts: Mapping[str, Facts] = dataclasses.field(default_factory=dict)
    validation: float | None = None


def encoded(checkpoint: Checkpoint) -> tuple[dict[str, Any], Arrays]:
    """Return a checkpoint's table and arrays."""
    settings = dataclasses.asdict(checkpoint.settings)
    prompts = checkpoint.settings.sample_prompts
    settings["sample_prompts"] = [prompt for prompt in prompts if isinstance(prompt, str)]
    history = checkpoint.history
    table = {
        "format": FORMAT,
        "name": checkpoint.name,
        "adapter": dataclasses.asdict(checkpoint.adapter),
        "settings": settings,
        "step": checkpoint.step,
        "samples": columns(history.samples, Sample),
        "problems": columns(history.problems, Problem),
        "best": _best_table(checkpoint.best),
        "facts": dict(checkpoint.facts),
        "validation": checkpoint.validation,
    }
    arrays = {f"state/{name}": np.asarray(part) for name, part in checkpoint.state.items()}
    for name, kind in _NUMBERS.items():
        for column, values in columns(getattr(history, name), kind).items():
            arrays[f"{name}/{column}"] = _numbers(values)
    arrays |= _best_arrays(checkpoint.best)
    return table, {name: np.asarray(part, order="C") for name, part in arrays.items()}


def decoded(table: Mapping[str, Any], arrays: Arrays) -> Checkpoint:
    """Return the checkpoint that a table and arrays encode.

    Raises:
        CheckpointError, SettingError: a value is missing or impossible.
    """
    if table.get("format") != FORMAT:
        _refuse("format", FORMAT, table.get("format"))
    adapter = _config(_value(table, "adapter", dict))
    settings = TuneSettings.of(_value(table, "settings", dict))
    step = _value(table, "step", int)
    history = History(
        steps=_events(Step, _group(arrays, "steps/")),
        validations=_events(Validation, _group(arrays, "validations/")),
        samples=_told(Sample, _value(table, "samples", dict)),
        problems=_told(Problem, _value(table, "problems", dict)),
    )
    _check_steps(step, settings, history)
    if adapter.rank != settings.rank:
        _refuse("adapter: rank", f"{settings.rank}, as in the settings", adapter.rank)
    return Checkpoint(
        name=_value(table, "name", str),
        adapter=adapter,
        settings=settings,
        step=step,
        state=_state(_group(arrays, "state/"), step),
        history=history,
        best=_best(_value(table, "best", dict | None), _group(arrays, "best/"), adapter),
        facts={name: _facts(kind) for name, kind in _value(table, "facts", dict).items()},
        validation=_value(table, "validation", float | int | None),
    )


def _check_steps(step: int, settings: TuneSettings, history: History) -> None:
    """Refuse a number of steps that contradicts the settings or the history."""
    if settings.steps is None or step > settings.steps:
        _refuse("step", f"at most the {settings.steps} of the settings", step)
    told = history.steps
    if len(told) != step or any(each.step != number for number, each in enumerate(told, 1)):
        _refuse("steps", f"the steps 1 to {step}", f"{len(told)} steps")


def _state(state: Arrays, step: int) -> Arrays:
    for name, part in state.items():
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            _refuse(f"state: {shown(name)}", "finite numbers", "others")
    number = state.get("step")
    if number is None or not np.array_equal(number, step):
        _refuse("state: step", step, number)
    return state


# -- columns of numbers: float64 arrays, with NaN where there is none ------------------------

_NUMBERS = {"steps": Step, "validations": Validation}
_OPTIONAL = ("tokens_per_second", "remaining_seconds")
_WHOLE = {"step": int, "tokens": int, "memory_bytes": int, "best": bool}


def _numbers(values: list[Any]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _events(kind: type, group: Arrays) -> list[Any]:
    """Return events from their columns of numbers."""
    names = [each.name for each in dataclasses.fields(kind)]
    if set(group) != set(names) or len({part.shape for part in group.values()}) > 1:
        _refuse(kind.__name__, f"columns {', '.join(names)} of one length", sorted(group))
    return [kind(*row) for row in zip(*(_column(name, group[name]) for name in names), strict=True)]


def _column(name: str, values: np.ndarray) -> list[Any]:
    numbers = values.dtype == np.float64 and values.ndim == 1
    missing = np.isnan(values) if numbers else np.zeros(0, bool)
    if not numbers or np.isinf(values).any() or (missing.any() and name not in _OPTIONAL):
        _refuse(name, "finite numbers", f"{values.dtype} {values.shape}")
    made = _WHOLE.get(name, float)
    if name in _WHOLE and (values % 1).any():
        _refuse(name, "whole numbers", "others")
    return [None if gone else made(value) for value, gone in zip(values, missing, strict=True)]


# -- columns of text: lists in the table -----------------------------------------------------


def _told(kind: type, table: Mapping[str, Any]) -> list[Any]:
    names = [each.name for each in dataclasses.fields(kind)]
    parts = [_value(table, name, list) for name in names]
    if set(table) != set(names) or len(set(map(len, parts))) > 1:
        _refuse(kind.__name__, f"columns {', '.join(names)} of one length", sorted(table))
    for name, part in zip(names, parts, strict=True):
        wanted = int if name == "step" else str
        if not all(type(value) is wanted for value in part):
            _refuse(f"{kind.__name__}: {name}", f"{wanted.__name__} values", "others")
    return [kind(*row) for row in zip(*parts, strict=True)]


# -- the best adapter ------------------------------------------------------------------------


def _best_table(best: Best | None) -> dict[str, Any] | None:
    if best is None:
        return None
    scales = {path: update.scale for path, update in best.adapter.updates.items()}
    return {"step": best.step, "loss": best.loss, "scales": scales, "base": best.adapter.base}


def _best_arrays(best: Best | None) -> Arrays:
    if best is None:
        return {}
    parts = best.adapter.updates.items()
    a = {f"best/{path}:a": np.asarray(update.a) for path, update in parts}
    return a | {f"best/{path}:b": np.asarray(update.b) for path, update in parts}


def _best(table: Mapping[str, Any] | None, group: Arrays, config: AdapterConfig) -> Best | None:
    if table is None:
        return None
    scales = _value(table, "scales", dict)
    if set(group) != {f"{path}:{part}" for path in scales for part in "ab"}:
        _refuse("best", "two arrays for each projection", f"{len(group)} arrays")
    updates = {path: _update(group, path, scales) for path in scales}
    adapter = Adapter(config, updates, _value(table, "base", str | None))
    return Best(_value(table, "step", int), float(_value(table, "loss", float | int)), adapter)


def _update(group: Arrays, path: str, scales: Mapping[str, Any]) -> LowRank:
    a, b = group[f"{path}:a"], group[f"{path}:b"]
    fits = a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1]
    if not fits or a.dtype != np.float32 or b.dtype != np.float32:
        _refuse(f"best: {shown(path)}", "A and B in float32", f"{a.shape} and {b.shape}")
    return LowRank(a, b, float(_value(scales, path, float | int)))


# -- values of the table ---------------------------------------------------------------------


def _value(table: Mapping[str, Any], key: str, kind: Any) -> Any:
    """Return a value of the table after checking that it exists and has this kind."""
    value = table.get(key)
    if key not in table or isinstance(value, bool) or not isinstance(value, kind):
        said = kind.__name__ if isinstance(kind, type) else kind
        _refuse(shown(key), said, type(value).__name__ if key in table else "nothing")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        _refuse(shown(key), "an integer of 64 bits", "a larger one")
    return value


_ADAPTER = {"rank": int, "alpha": float | int | None, "dropout": float | int, "targets": list}


def _config(table: Mapping[str, Any]) -> AdapterConfig:
    if set(table) != set(_ADAPTER):
        _refuse("adapter", ", ".join(_ADAPTER), shown(sorted(table)))
    values = {name: _value(table, name, kind) for name, kind in _ADAPTER.items()}
    if not all(isinstance(target, str) for target in values["targets"]):
        _refuse("adapter: targets", "names", shown(values["targets"]))
    return AdapterConfig(**values)


def _facts(facts: Any) -> Facts:
    if not isinstance(facts, dict) or not all(isinstance(v, str | int) for v in facts.values()):
        _refuse("facts", "texts and integers", shown(facts))
    return facts


def _group(arrays: Arrays, prefix: str) -> Arrays:
    return {
        name.removeprefix(prefix): part for name, part in arrays.items() if name.startswith(prefix)
    }


def _refuse(key: str, expected: object, got: object) -> None:
    raise CheckpointError(f"{key}: expected {expected}, got {str(got)[:200]}")
