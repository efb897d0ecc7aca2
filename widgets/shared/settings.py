"""The settings of the generate panel: their allowed values, and which ones a sampler reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.errors import SettingError
from workbench.samplers.settings import DRAWING, SEED, STREAMING, Setting

from .controls import Control, by_name

Settings = dict[str, Any]
MAX_PROMPT = 200_000  # characters
VIEWS = ("plain", "probability")
MODES = ("complete", "chat")
MAX_NEW_TOKENS = Setting(
    "max_new_tokens",
    "Max tokens",
    "is the most that a completion may have",
    kind=int,
    low=1,
    start=128,
    slider=(1, 512),
    step=1,
)


def control_of(setting: Setting) -> Control:
    """Return the control of a setting. A cut that a sampler is named after cannot be off; choose
    another sampler instead."""
    assert setting.start is not None
    return Control(setting, setting.start, None if setting.name in STREAMING else setting.off)


CONTROLS = by_name(
    control_of(setting) for setting in (*DRAWING, MAX_NEW_TOKENS, SEED) if setting.slider
)
DEFAULTS: Settings = {"sampler": "top_p", **{c.name: c.start for c in CONTROLS.values()}}


def controls_of(sampler: str) -> list[str]:
    """Return the names of the controls that a sampler reads, in their order on the page."""
    own = STREAMING[sampler].controls
    used = {*own, "max_new_tokens", *(["seed"] if own else [])}
    return [name for name in CONTROLS if name in used]


def arguments_of(settings: Settings) -> Settings:
    """Return the arguments of the chosen sampler's constructor, without those that are off."""
    controls = [CONTROLS[name] for name in STREAMING[settings["sampler"]].controls]
    return {
        control.setting.keyword: settings[control.name]
        for control in controls
        if settings[control.name] != control.off
    }


def check(name: str, value: object) -> Any:
    """Return the checked value of setting `name`, or raise a SettingError."""
    if name in CONTROLS:
        return CONTROLS[name].setting.check(value)
    if name != "sampler":
        raise SettingError(f"no setting {str(name)[:80]!r}; there are {', '.join(DEFAULTS)}")
    if not isinstance(value, str) or value not in STREAMING:
        known = ", ".join(STREAMING)
        raise SettingError(f"sampler must be one of {known}, got {str(value)[:80]!r}")
    return value


def check_all(settings: Mapping[str, object]) -> Settings:
    """Return the settings after checking all of them."""
    return {name: check(name, value) for name, value in settings.items()}


def check_text(name: str, value: object) -> str:
    """Return a text that can be tokenised and is not too long for a page to send."""
    if not isinstance(value, str):
        raise SettingError(f"{name} must be text, got {type(value).__name__}")
    if len(value) > MAX_PROMPT:
        raise SettingError(f"{name} may have {MAX_PROMPT:,} characters, got {len(value):,}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise SettingError(f"{name} must be text, got half of a surrogate pair")
    return value


def check_message(value: object) -> str:
    """Return a message that is not empty."""
    text = check_text("message", value)
    if not text.strip():
        raise SettingError("message must not be empty")
    return text


def check_view(value: object) -> str:
    """Return how the text is shown, or raise a SettingError."""
    return _one_of("show", VIEWS, value)


def check_mode(value: object) -> str:
    """Return the mode, completions of a prompt or a conversation, or raise a SettingError."""
    return _one_of("mode", MODES, value)


def _one_of(name: str, choices: tuple[str, ...], value: object) -> str:
    if not isinstance(value, str) or value not in choices:
        raise SettingError(f"{name} must be one of {', '.join(choices)}, got {str(value)[:80]!r}")
    return value


def check_page_settings(settings: object) -> Settings:
    """Return the checked settings from a page."""
    if not isinstance(settings, dict):
        raise SettingError("settings must be a dictionary")
    return check_all(settings)


def sampler_of(settings: Settings) -> Any:
    """Return the `workbench.samplers.Sampler` that the settings describe."""
    from workbench import samplers  # a panel shows without it

    cls = getattr(samplers, STREAMING[settings["sampler"]].class_name)
    return cls(**arguments_of(settings))


def call_of(settings: Settings) -> Settings:
    """Return the arguments of `lm.stream` except the prompt and the sampler."""
    used = controls_of(settings["sampler"])
    names = [name for name in ("seed", "max_new_tokens") if name in used]
    return {name: settings[name] for name in names}


def reads_seed(settings: Settings) -> bool:
    """Return whether the chosen sampler draws, so that another seed may give another text."""
    return "seed" in call_of(settings)


def code_of(preset: str | None, prompt: str, settings: Settings) -> str:
    """Return Python code that writes the same completion again."""
    return (
        f"{load_code(preset)}prompt = {quoted(prompt)}\nlm.generate(prompt, {_call_code(settings)})"
    )


def look_code(preset: str | None, picture: str, prompt: str, settings: Settings) -> str:
    """Return Python code that asks the same about the picture at a path."""
    return (
        f"{load_code(preset)}picture = {quoted(picture)}\nprompt = {quoted(prompt)}\n"
        'lm.generate({"images": picture, "prompts": prompt}, strip_prompt=True, '
        f"{_call_code(settings)})"
    )


def send_code(text: str, settings: Settings) -> str:
    """Return the call of a `Chat` named `chat` that sends a message."""
    return f"chat.send({quoted(text)}, {_call_code(settings)})"


def load_code(preset: str | None) -> str:
    """Return the lines that import the package and load the model, if it is a preset's."""
    load = f"lm = wb.models.CausalLM.from_preset({quoted(preset)})\n" if preset else ""
    return f"import workbench as wb\n\n{load}"


def quoted(text: str) -> str:
    """Return a text as a Python literal."""
    return json.dumps(text, ensure_ascii=False)  # Python reads it as it is, double quotes and all


def _call_code(settings: Settings) -> str:
    cls = STREAMING[settings["sampler"]].class_name
    arguments = ", ".join(f"{name}={value!r}" for name, value in arguments_of(settings).items())
    call = "".join(f", {name}={value!r}" for name, value in call_of(settings).items())
    return f"sampler=wb.samplers.{cls}({arguments}){call}"


def form_of(context: int | None) -> dict[str, Any]:
    """Return what the page needs to draw the controls of a model that reads `context` tokens."""
    samplers = [
        {"name": name, "label": sampler.label, "controls": controls_of(name)}
        for name, sampler in STREAMING.items()
    ]
    controls = [control.page_form(context) for control in CONTROLS.values()]
    return {"controls": controls, "samplers": samplers}
