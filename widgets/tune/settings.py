"""The settings of the tune panel: their fields on the page, and their allowed values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import SettingError
from workbench.tuning.settings import EVERY, SCHEDULES, TuneSettings

from ..shared.settings import Settings, check_text, quoted

MOST_RANK = 4096
MOST_SHARE = 0.9  # the largest share of held-out examples
MAX_PROMPTS = 8
MAX_INLINE = 4000  # characters of data that the code may contain
USUAL_TARGETS = ("query", "value")
PROJECTIONS = ("query", "key", "value", "output", "gate", "up", "down")
NAMES = tuple(field.name for field in dataclasses.fields(TuneSettings))
PLAIN: Settings = {name: getattr(TuneSettings(), name) for name in NAMES}
DEFAULTS: Settings = {**PLAIN, "alpha": 16.0, "steps": 200, "validation": 0.1}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form. `empty` is the meaning of an empty field, `says` a checkbox's text."""

    name: str
    label: str
    kind: str
    hint: str
    common: bool = False
    empty: str = ""
    whole: bool = False
    says: str = ""
    options: tuple[str, ...] = ()
    fixed: bool = False


def _number(name: str, label: str, hint: str, **options: Any) -> Field:
    return Field(name, label, "number", hint, **options)


def _whole(name: str, label: str, hint: str, **options: Any) -> Field:
    return Field(name, label, "number", hint, whole=True, **options)


FIELDS = (
    _whole("rank", "Rank", "Size of the adapter's matrices: more can learn more", common=True),
    _number(
        "alpha",
        "Alpha",
        "The adapter counts alpha / rank times",
        common=True,
        empty="= rank",
    ),
    _number("learning_rate", "Learning rate", "Of AdamW, at its highest", common=True),
    _whole("batch_size", "Batch size", "Examples of a step that are read at once", common=True),
    Field("steps", "Train for", "duration", "Optimizer steps, or passes over the data", True),
    Field(
        "schedule",
        "Schedule",
        "choice",
        "How the learning rate falls after the warm-up",
        options=SCHEDULES,
    ),
    _whole("warmup_steps", "Warm-up steps", "The learning rate rises over these", empty="5 %"),
    _whole("accumulate", "Accumulate", "Batches whose gradients make one step"),
    _whole("length", "Length, tokens", "Longer examples are cut", empty="model's"),
    _number("dropout", "Dropout", "Share of the adapter's inputs left out in training"),
    _number("weight_decay", "Weight decay", "Of AdamW"),
    _number("clip_norm", "Clip gradients", "Gradients are scaled down to this norm", empty="off"),
    _whole("seed", "Seed", "The same seed, data and settings train the same adapter"),
    _number(
        "validation",
        "Validation",
        "A share of the examples, or how many, kept to measure on",
        empty="none",
    ),
    _whole("validation_every", "Validate every", "Steps; 0 for never", empty="auto"),
    _whole("sample_every", "Sample every", "Steps; 0 for never", empty="auto"),
    _whole("sample_tokens", "Sample tokens", "New tokens of a sample, at most"),
    _whole("save_every", "Save every", "Steps; 0 for pauses and the end", empty="auto"),
    Field("packing", "Packing", "check", "Short examples share a row", says="share rows"),
    Field(
        "remat",
        "Rematerialise",
        "check",
        "Activations are computed again: less memory, more time",
        says="save memory",
    ),
    Field("targets", "Adapted projections", "names", "Which matrices get an update"),
    Field(
        "sample_prompts",
        "Sample prompts, one a line",
        "lines",
        "What the model completes as it learns",
        empty="Once upon a time",
    ),
)


def form_of(lm: Any, values: Settings, shared: bool) -> list[Settings]:
    """Return what the page needs to draw the fields.

    Args:
        lm: The model, None while it is loading.
        values: The settings; a page cannot edit prompts that are more than text.
        shared: Whether the validation is a share of the data, not separate data.
    """
    fixed = not all(isinstance(prompt, str) for prompt in values["sample_prompts"])
    changes = {
        "targets": {"options": projections_of(lm)},
        "sample_prompts": {"fixed": fixed},
    }
    shown = [field for field in FIELDS if shared or field.name != "validation"]
    return [asdict(dataclasses.replace(f, **changes.get(f.name, {}))) for f in shown]


def projections_of(lm: Any) -> tuple[str, ...]:
    """Return the names of the model's projections that can be adapted."""
    if lm is None:
        return ()
    names = {variable.path.split("/")[-2] for variable in lm.backbone.variables}
    return tuple(name for name in PROJECTIONS if name in names)


def check_all(values: Mapping[str, Any]) -> Settings:
    """Check some or all settings of the panel one by one, and return them.

    Raises:
        SettingError: A setting is unknown or impossible.
    """
    checked = {name: value for name, value in values.items() if name != "validation"}
    made = TuneSettings.of(checked)
    result = {name: getattr(made, name) for name in checked}
    if result.get("rank", 1) > MOST_RANK:
        raise SettingError(f"training: rank: expected at most {MOST_RANK}, got {result['rank']}")
    if "validation" in values:
        result["validation"] = check_share(values["validation"])
    return result


def check_share(value: object) -> float | int | None:
    """Return a share or a number of the examples, or None."""
    if value is None or (type(value) in (int, float) and value == 0):
        return None
    if type(value) is int and value > 0:
        return value
    if type(value) is float and 0 < value <= MOST_SHARE:
        return value
    raise SettingError(
        f"training: validation: expected a share up to {MOST_SHARE}, a number of examples, or "
        f"None, got {str(value)[:80]!r}"
    )


def merge(values: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return all settings with some changed, checked together.

    Raises:
        SettingError: A setting is unknown or impossible, or two contradict each other.
    """
    changes = dict(changes)
    for name, other in (("steps", "epochs"), ("epochs", "steps")):
        if changes.get(name) is not None and other not in changes:
            changes[other] = None
    merged = {**values, **check_all(changes)}
    return {**merged, **check_all(merged)}


def sort_out(values: Settings, changes: Mapping[str, Any]) -> tuple[Settings, dict[str, str]]:
    """Return the valid changes, and for each invalid one a sentence that says why."""
    problems: dict[str, str] = {}
    for name in changes:
        try:
            check_all({name: changes[name]})
        except SettingError as error:
            problems[name] = sentence_of(name, error)
    good = {name: value for name, value in changes.items() if name not in problems}
    try:
        return merge(values, good), problems
    except SettingError as error:
        name = next(iter(good))
        return values, {**problems, name: sentence_of(name, error)}


def sentence_of(name: str, error: SettingError) -> str:
    """Return the message of an error without the setting's name, which the field shows."""
    message = str(error).removeprefix("training: ").removeprefix(f"{name}: ")
    return message[:1].upper() + message[1:]


def check_page_values(values: object) -> Settings:
    """Return some settings from a page after checking their types, but not their values.

    Raises:
        SettingError: A form cannot send this.
    """
    known = {*NAMES, "validation"}
    if not isinstance(values, dict) or not set(values) <= known:
        raise SettingError("settings must be a dictionary of known names")
    return {name: _page_value(name, value) for name, value in values.items()}


def _page_value(name: str, value: object) -> Any:
    if name in ("targets", "sample_prompts"):
        if not isinstance(value, list) or len(value) > 100:
            raise SettingError(f"{name} must be a list")
        texts = tuple(check_text(name, item) for item in value)
        return (texts or None) if name == "targets" else texts[:MAX_PROMPTS]
    if isinstance(value, str):
        return check_text(name, value)[:200]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise SettingError(f"{name} must be a number or a text")


def shown_values(values: Settings, lm: Any) -> Settings:
    """Return the settings as plain JSON for the page."""
    targets = values["targets"] or (USUAL_TARGETS if lm is not None else ())
    if targets == EVERY:
        targets = projections_of(lm)
    prompts = [text_of(prompt) for prompt in values["sample_prompts"]]
    return {**values, "targets": list(targets), "sample_prompts": prompts}


def text_of(prompt: str | Mapping[str, Any]) -> str:
    """Return the text of a prompt, without its picture."""
    return prompt if isinstance(prompt, str) else str(prompt.get("prompts", ""))


def summary_of(values: Settings) -> str:
    """Return the most important settings in one line."""
    steps, epochs = values["steps"], values["epochs"]
    duration = f"{steps} steps" if steps else f"{epochs or 1:g} epochs"
    rate = f"{values['learning_rate']:g}"
    return f"rank {values['rank']} · lr {rate} · batch {values['batch_size']} · {duration}"


def changed(values: Settings) -> Settings:
    """Return the settings that differ from `TrainingJob`'s defaults."""
    return {name: values[name] for name in NAMES if values[name] != PLAIN[name]}


def tune_code(preset: str | None, data: Any, validation: Any, values: Settings, name: str) -> str:
    """Return Python code that trains the same adapter again."""
    given = {"lm": None if preset is None else f"wb.models.CausalLM.from_preset({quoted(preset)})"}
    given["data"] = _data_code(data)
    if not isinstance(validation, float | int | None):
        given["validation"] = _data_code(validation)
    missing = " and ".join(key for key, code in given.items() if code is None)
    lines = [
        "import workbench as wb",
        "from workbench.tuning import TrainingJob",
        "",
        *([f"# {missing}: as wb.tune was given"] if missing else []),
        *(f"{key} = {code}" for key, code in given.items() if code is not None),
        "job = TrainingJob(",
        "    lm,",
        "    data,",
        *(f"    {key}={value}," for key, value in _arguments(validation, values, name)),
        ")",
        "job.start()",
        "job.wait()",
    ]
    return "\n".join(lines)


def _arguments(validation: Any, values: Settings, name: str) -> list[tuple[str, str]]:
    plain = isinstance(validation, float | int | None)
    arguments = [("validation", repr(validation) if plain else "validation")]
    arguments += [("name", quoted(name))]
    return arguments + [(key, repr(value)) for key, value in changed(values).items()]


def _data_code(data: Any) -> str | None:
    """Return data as code if they are a path or a short list of plain records; None otherwise."""
    if isinstance(data, str | Path):
        return quoted(str(data))
    if not isinstance(data, list) or not 0 < len(data) <= MAX_INLINE:
        return None
    code = repr(data) if all(map(_is_plain, data)) else ""
    return code if 0 < len(code) <= MAX_INLINE else None


def _is_plain(value: Any) -> bool:
    """Return whether a value's repr is valid code."""
    if isinstance(value, Mapping):
        return type(value) is dict and all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float | None)
