"""The settings of the inspect panel: every cut at once, and how a branch goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from workbench.errors import SettingError

from ..shared.settings import Control, Settings, load_code, quoted

COLOURS = ("probability", "entropy", "rank")
TABS = ("distribution", "layers", "attention")
CONTROLS = {
    control.name: control
    for control in (
        Control("temperature", "Temperature", 0.8, 0.0, 10.0, 2.0, 0.01),
        Control("top_k", "Top-k", 0, 0, 1_000_000, 100, 1, off=0),
        Control("top_p", "Top-p", 0.92, 0.01, 1.0, 1.0, 0.01, off=1.0),
        Control("min_p", "Min-p", 0.0, 0.0, 0.99, 0.5, 0.01, off=0.0),
        Control("max_new_tokens", "Continue by", 16, 0, 1_000_000, 128, 1),
        Control("seed", "Seed", 0, 0, 2**32 - 1, 2**32 - 1, 1),
    )
}
DEFAULTS: Settings = {control.name: control.default for control in CONTROLS.values()}
CUTS = ("temperature", "top_k", "top_p", "min_p")


def check(name: str, value: object) -> int | float:
    """The value of the setting `name`, checked; SettingError when either is unknown."""
    if name not in CONTROLS:
        raise SettingError(f"no setting {str(name)[:80]!r}; there are {', '.join(CONTROLS)}")
    return CONTROLS[name].check(value)


def check_all(settings: object) -> Settings:
    """Every setting checked before any is used."""
    if not isinstance(settings, Mapping):
        raise SettingError("settings must be a dictionary")
    return {name: check(name, value) for name, value in settings.items()}


def check_choice(name: str, choices: tuple[str, ...], value: object) -> str:
    """One of a few words, or a SettingError that lists them."""
    if not isinstance(value, str) or value not in choices:
        raise SettingError(f"{name} must be one of {', '.join(choices)}, got {str(value)[:80]!r}")
    return value


def cuts_of(settings: Settings) -> Settings:
    """The arguments of `Distribution.shares`; cuts that are off are None."""
    return {name: None if settings[name] == CONTROLS[name].off else settings[name] for name in CUTS}


def sampler_of(settings: Settings, vocabulary: int) -> Any:
    """The `workbench.samplers.Sampler` that the settings describe."""
    from workbench import samplers  # not needed to show a panel

    kind, arguments = _call(settings, vocabulary)
    return getattr(samplers, kind)(**arguments)


def form_of(context: int | None) -> dict[str, Any]:
    """What the page needs to draw the controls of a model that reads `context` tokens."""
    controls = [asdict(control) for control in CONTROLS.values()]
    for control in controls:
        if control["name"] == "max_new_tokens" and context:
            control["reach"] = min(control["reach"], context)
    return {"controls": controls}


def read_code(preset: str | None, inputs: str | list[int], place: int, settings: Settings) -> str:
    """Python that gives the same distribution."""
    cuts = {name: value for name, value in cuts_of(settings).items() if value is not None}
    arguments = ", ".join(f"{name}={value!r}" for name, value in cuts.items())
    text = quoted(inputs) if isinstance(inputs, str) else repr(inputs)
    return (
        f"{load_code(preset)}inspection = lm.inspect({text})\n"
        f"distribution = inspection.distribution({place})\n"
        f"distribution.shares({arguments})"
    )


def _call(settings: Settings, vocabulary: int) -> tuple[str, Settings]:
    """The sampler's class and its arguments; a top-k of the whole vocabulary cuts nothing."""
    k = settings["top_k"]
    arguments: Settings = {"k": k} if 0 < k < vocabulary else {}
    kind = "TopKSampler" if arguments else "RandomSampler"
    if settings["top_p"] != CONTROLS["top_p"].off:
        kind, arguments = "TopPSampler", {"p": settings["top_p"], **arguments}
    arguments["temperature"] = settings["temperature"]
    if settings["min_p"] != CONTROLS["min_p"].off:
        arguments["min_p"] = settings["min_p"]
    return kind, arguments
