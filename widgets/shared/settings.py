"""The settings of the generate panel: what they may be, and which of them a sampler reads."""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import SettingError

Settings = dict[str, Any]
MAX_PROMPT = 200_000  # characters
VIEWS = ("plain", "probability")
MODES = ("complete", "chat")


@dataclass(frozen=True, slots=True)
class Control:
    """A number a person may set, from `low` to `high`; its slider ends at `reach`.

    `off` is the value at which it does nothing, None when it always counts.
    """

    name: str
    label: str
    default: float
    low: float
    high: float
    reach: float
    step: float
    off: float | None = None

    def check(self, value: object) -> int | float:
        """The value as a plain number, or a SettingError that says what it may be."""
        whole = isinstance(self.step, int)
        kind = numbers.Integral if whole else numbers.Real
        fits = isinstance(value, kind) and not isinstance(value, bool)
        if not fits or not self.low <= value <= self.high:
            article = "a whole number" if whole else "a number"
            raise SettingError(
                f"{self.name} must be {article} from {self.low:g} to {self.high:.10g}, "
                f"got {str(value)[:80]}"
            )
        return int(value) if whole else float(value)


CONTROLS = {
    control.name: control
    for control in (
        Control("temperature", "Temperature", 0.8, 0.05, 10.0, 2.0, 0.01),
        Control("top_k", "Top-k", 40, 1, 1_000_000, 100, 1),
        Control("top_p", "Top-p", 0.92, 0.01, 1.0, 1.0, 0.01),
        Control("min_p", "Min-p", 0.0, 0.0, 1.0, 0.5, 0.01, off=0.0),
        Control("repetition_penalty", "Repetition", 1.0, 1.0, 10.0, 2.0, 0.01, off=1.0),
        Control("max_new_tokens", "Max tokens", 128, 1, 1_000_000, 512, 1),
        Control("seed", "Seed", 0, 0, 2**32 - 1, 2**32 - 1, 1),
    )
}


@dataclass(frozen=True, slots=True)
class SamplerKind:
    """A sampler a person may pick: its class, and the control each argument is read from."""

    label: str
    cls: str
    arguments: Mapping[str, str]

    @property
    def controls(self) -> list[str]:
        """Names of the controls that count, in the order they are shown."""
        used = {*self.arguments.values(), "max_new_tokens", *(["seed"] if self.arguments else [])}
        return [name for name in CONTROLS if name in used]

    def values(self, settings: Settings) -> Settings:
        """The constructor's arguments; those that would do nothing are left out."""
        pairs = [(argument, CONTROLS[name]) for argument, name in self.arguments.items()]
        return {
            argument: settings[control.name]
            for argument, control in pairs
            if settings[control.name] != control.off
        }


_SHAPING = {
    "temperature": "temperature",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
}
SAMPLERS = {
    "greedy": SamplerKind("greedy", "GreedySampler", {}),
    "random": SamplerKind("random", "RandomSampler", _SHAPING),
    "top_k": SamplerKind("top-k", "TopKSampler", {"k": "top_k", **_SHAPING}),
    "top_p": SamplerKind("top-p", "TopPSampler", {"p": "top_p", **_SHAPING}),
}
DEFAULTS: Settings = {"sampler": "top_p", **{c.name: c.default for c in CONTROLS.values()}}


def check(name: str, value: object) -> Any:
    """The value of the setting `name`, checked; SettingError when either is unknown."""
    if name in CONTROLS:
        return CONTROLS[name].check(value)
    if name != "sampler":
        raise SettingError(f"no setting {str(name)[:80]!r}; there are {', '.join(DEFAULTS)}")
    if not isinstance(value, str) or value not in SAMPLERS:
        raise SettingError(f"sampler must be one of {', '.join(SAMPLERS)}, got {str(value)[:80]!r}")
    return value


def check_all(settings: Mapping[str, object]) -> Settings:
    """Every setting checked before any is used."""
    return {name: check(name, value) for name, value in settings.items()}


def check_text(name: str, value: object) -> str:
    """A text that can be tokenised, not longer than a page should send."""
    if not isinstance(value, str):
        raise SettingError(f"{name} must be text, got {type(value).__name__}")
    if len(value) > MAX_PROMPT:
        raise SettingError(f"{name} may have {MAX_PROMPT:,} characters, got {len(value):,}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise SettingError(f"{name} must be text, got half of a surrogate pair")
    return value


def check_message(value: object) -> str:
    """A text that says something."""
    text = check_text("message", value)
    if not text.strip():
        raise SettingError("message must not be empty")
    return text


def check_view(value: object) -> str:
    """How the text is shown."""
    return _one_of("show", VIEWS, value)


def check_mode(value: object) -> str:
    """What the panel writes: completions of a prompt, or replies in a conversation."""
    return _one_of("mode", MODES, value)


def _one_of(name: str, choices: tuple[str, ...], value: object) -> str:
    if not isinstance(value, str) or value not in choices:
        raise SettingError(f"{name} must be one of {', '.join(choices)}, got {str(value)[:80]!r}")
    return value


def check_page_settings(settings: object) -> Settings:
    """What a page says the settings are, checked."""
    if not isinstance(settings, dict):
        raise SettingError("settings must be a dictionary")
    return check_all(settings)


def sampler_of(settings: Settings) -> Any:
    """The `workbench.samplers.Sampler` that the settings describe."""
    from workbench import samplers  # not needed to show a panel

    kind = SAMPLERS[settings["sampler"]]
    return getattr(samplers, kind.cls)(**kind.values(settings))


def call_of(settings: Settings) -> Settings:
    """The arguments of `lm.stream` beside the prompt and the sampler."""
    names = [n for n in ("seed", "max_new_tokens") if n in SAMPLERS[settings["sampler"]].controls]
    return {name: settings[name] for name in names}


def reads_seed(settings: Settings) -> bool:
    """Whether the chosen sampler draws: another seed may write another text."""
    return "seed" in call_of(settings)


def code_of(preset: str | None, prompt: str, settings: Settings) -> str:
    """Python that writes the same completion again."""
    return (
        f"{load_code(preset)}prompt = {quoted(prompt)}\nlm.generate(prompt, {_call_code(settings)})"
    )


def look_code(preset: str | None, picture: str, prompt: str, settings: Settings) -> str:
    """Python that asks the same about the picture at a path."""
    return (
        f"{load_code(preset)}picture = {quoted(picture)}\nprompt = {quoted(prompt)}\n"
        'lm.generate({"images": picture, "prompts": prompt}, strip_prompt=True, '
        f"{_call_code(settings)})"
    )


def send_code(text: str, settings: Settings) -> str:
    """The call of a `Chat` named `chat` that says something."""
    return f"chat.send({quoted(text)}, {_call_code(settings)})"


def load_code(preset: str | None) -> str:
    """The import, and the model where it comes from a preset; as lines that end."""
    load = f"lm = wb.models.CausalLM.from_preset({quoted(preset)})\n" if preset else ""
    return f"import workbench as wb\n\n{load}"


def quoted(text: str) -> str:
    """A text as Python reads it."""
    return json.dumps(text, ensure_ascii=False)  # Python reads it as it is, double quotes and all


def _call_code(settings: Settings) -> str:
    kind = SAMPLERS[settings["sampler"]]
    arguments = ", ".join(f"{name}={value!r}" for name, value in kind.values(settings).items())
    call = "".join(f", {name}={value!r}" for name, value in call_of(settings).items())
    return f"sampler=wb.samplers.{kind.cls}({arguments}){call}"


def form_of(context: int | None) -> dict[str, Any]:
    """What the page needs to draw the controls of a model that reads `context` tokens."""
    controls = [asdict(control) for control in CONTROLS.values()]
    for control in controls:
        if control["name"] == "max_new_tokens" and context:
            control["reach"] = min(control["reach"], context)
    samplers = [
        {"name": name, "label": kind.label, "controls": kind.controls}
        for name, kind in SAMPLERS.items()
    ]
    return {"controls": controls, "samplers": samplers}
