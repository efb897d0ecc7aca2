"""The settings of the inspect panel: all cuts together, and the settings of branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.errors import SettingError
from workbench.samplers.settings import CUTS, SAMPLERS, SETTINGS, Setting

from ..shared.controls import Control, by_name
from ..shared.settings import MAX_NEW_TOKENS, Settings, control_of, load_code, quoted

COLOURS = ("probability", "entropy", "rank")
TABS = ("distribution", "layers", "attention")
BRANCH = replace(MAX_NEW_TOKENS, label="Continue by", low=0, start=16, slider=(0, 128))


def _cut(setting: Setting) -> Control:
    """Return the control of a cut, which may be off. Top-k starts off, because top-p cuts."""
    start = setting.off if setting.name == "top_k" else setting.start
    assert start is not None
    return Control(setting.with_off(), start, setting.off)


CONTROLS = by_name(
    (*(_cut(SETTINGS[name]) for name in CUTS), control_of(BRANCH), control_of(SETTINGS["seed"]))
)
DEFAULTS: Settings = {control.name: control.start for control in CONTROLS.values()}


def check(name: str, value: object) -> int | float:
    """Return the checked value of setting `name`, or raise a SettingError."""
    if name not in CONTROLS:
        raise SettingError(f"no setting {str(name)[:80]!r}; there are {', '.join(CONTROLS)}")
    return CONTROLS[name].setting.check(value)


def check_all(settings: object) -> Settings:
    """Return the settings after checking all of them."""
    if not isinstance(settings, Mapping):
        raise SettingError("settings must be a dictionary")
    return {name: check(name, value) for name, value in settings.items()}


def check_choice(name: str, choices: tuple[str, ...], value: object) -> str:
    """Return the value if it is one of `choices`, or raise a SettingError that lists them."""
    if not isinstance(value, str) or value not in choices:
        raise SettingError(f"{name} must be one of {', '.join(choices)}, got {str(value)[:80]!r}")
    return value


def cuts_of(settings: Settings) -> Settings:
    """Return the arguments of `Distribution.shares`; cuts that are off are None."""
    return {name: None if settings[name] == CONTROLS[name].off else settings[name] for name in CUTS}


def sampler_of(settings: Settings, vocabulary: int) -> Any:
    """Return the `workbench.samplers.Sampler` that the settings describe."""
    from workbench import samplers  # a panel shows without it

    kind, arguments = _call(settings, vocabulary)
    return getattr(samplers, kind)(**arguments)


def form_of(context: int | None) -> dict[str, Any]:
    """Return what the page needs to draw the controls of a model that reads `context` tokens."""
    controls = [control.page_form(context) for control in CONTROLS.values()]
    return {"controls": controls, "cuts": CUTS}


def read_code(preset: str | None, inputs: str | list[int], place: int, settings: Settings) -> str:
    """Return Python code that gives the same distribution."""
    cuts = {name: value for name, value in cuts_of(settings).items() if value is not None}
    arguments = ", ".join(f"{name}={value!r}" for name, value in cuts.items())
    text = quoted(inputs) if isinstance(inputs, str) else repr(inputs)
    return (
        f"{load_code(preset)}inspection = lm.inspect({text})\n"
        f"distribution = inspection.distribution({place})\n"
        f"distribution.shares({arguments})"
    )


def _call(settings: Settings, vocabulary: int) -> tuple[str, Settings]:
    """Return the sampler's class and arguments; a top-k of the whole vocabulary cuts nothing."""
    used = {name: value for name, value in cuts_of(settings).items() if value is not None}
    if used.get("top_k", 0) >= vocabulary:
        del used["top_k"]
    kind = next((name for name in ("top_p", "top_k") if name in used), "random")
    arguments = {SETTINGS[name].keyword: value for name, value in used.items()}
    return SAMPLERS[kind].class_name, arguments
