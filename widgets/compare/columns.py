"""The columns of the compare panel: requested by a call, changed on the page."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import SettingError
from workbench.jobs.column import Active, Column, titles_of
from workbench.samplers.settings import SETTINGS, STREAMING

from ..shared import settings as setting
from ..shared.settings import Settings

MAX_COLUMNS = 8
SHARED = ("max_new_tokens", "seed")  # the controls that all columns have in common
OWN = tuple(name for name in setting.DEFAULTS if name not in SHARED)


@dataclass(frozen=True, slots=True)
class Place:
    """A requested column. `source` is a model, or a handle that is not loaded yet."""

    source: Any
    title: str | None = None
    adapter: str | Active | None = Active.ADAPTER
    sampler: Any = None
    max_new_tokens: int | None = None
    seed: int | None = None

    @property
    def is_handle(self) -> bool:
        """Whether its model is not loaded yet."""
        return isinstance(self.source, str | Path)

    def column(self, lm: Any) -> Column:
        """Return the column with its loaded model."""
        return Column(lm, self.title, self.adapter, self.sampler, self.max_new_tokens, self.seed)


def places_of(
    columns: Sequence[Any], adapters: Sequence[Any] | None, samplers: Sequence[Any] | None
) -> list[Place]:
    """Return the columns of a `compare` call: every model with every adapter and every sampler.

    Raises:
        SettingError: There are fewer than two columns or too many, or the call has both `Column`s
            and adapters or samplers.
    """
    made = [item for item in columns if isinstance(item, Column)]
    if made and (adapters is not None or samplers is not None):
        raise SettingError("compare: a Column has its adapter and sampler: give no others")
    asked = itertools.product(
        columns, _listed("adapters", adapters, Active.ADAPTER), _listed("samplers", samplers, None)
    )
    places = [_place(*one) for one in asked]
    if not 2 <= len(places) <= MAX_COLUMNS:
        raise SettingError(
            f"compare: expected 2 to {MAX_COLUMNS} columns, got {len(places)}: give several models "
            "or Columns, or adapters=[...] or samplers=[...]"
        )
    return places


def _listed(name: str, items: Sequence[Any] | None, usual: Any) -> list[Any]:
    if items is None:
        return [usual]
    if isinstance(items, str | Mapping):
        raise SettingError(f"{name} must be a list, got {str(items)[:80]!r}")
    return list(items)


def _place(source: Any, adapter: Any, sampler: Any) -> Place:
    if not isinstance(source, Column):
        return Place(source, None, adapter, sampler)
    names = ("title", "adapter", "sampler", *SHARED)
    return Place(source.lm, **{name: getattr(source, name) for name in names})


class PanelColumn:
    """A column with a model, whose sampler a person may change.

    `values` are the sampler's kind and the values of its controls; None for a sampler of another
    kind, which stays as it is.
    """

    def __init__(self, place: Place, lm: Any) -> None:
        self._column = place.column(lm)
        given = lm.sampler if place.sampler is None else place.sampler
        self.values = self.initial = settings_of(given)

    @property
    def lm(self) -> Any:
        """Its model."""
        return self._column.lm

    @property
    def given_title(self) -> str | None:
        """The title given by the call, or None."""
        return self._column.title

    @property
    def facts(self) -> dict[str, str]:
        """The model, adapter and sampler in words."""
        facts = self._column.facts
        return facts if self.values is None else {**facts, "sampler": sampler_text(self.values)}

    def titled(self, title: str) -> Column:
        """Return the column for a job, with its current sampler."""
        sampler = self._column.sampler if self.values is None else sampler_of(self.values)
        return replace(self._column, title=title, sampler=sampler)

    def entry(self, title: str, several: bool) -> Settings:
        """Return what the page shows of it; `several` says whether there are other models."""
        facts = self.facts
        usual = {
            "sampler": facts["sampler"],  # which has a line of its own
            "model": "" if several else facts["model"],
            "adapter": "no adapter",
        }
        said = [fact for name, fact in facts.items() if fact and fact != usual.get(name)]
        return {
            "title": title,
            "about": " · ".join(fact for fact in said if fact not in title),
            "sampler": facts["sampler"],
            "values": self.values,
        }

    def code(self, name: str) -> str:
        """Return the call that makes it, with its model as a variable of that name."""
        column = self._column
        sampler = repr(column.sampler) if self.values is None else repr(sampler_of(self.values))
        own = [(n, getattr(column, n)) for n in SHARED if getattr(column, n) is not None]
        title = [f"title={setting.quoted(column.title)}"] if column.title else []
        parts = [
            name,
            *title,
            f"adapter={_quoted(column.adapter)}",
            f"sampler=wb.samplers.{sampler}",
        ]
        return f"wb.Column({', '.join([*parts, *(f'{n}={value}' for n, value in own)])})"


def titles_now(columns: Sequence[PanelColumn]) -> list[str]:
    """Return a title for each column: the given one, or its current difference from the others."""
    return titles_of([column.facts for column in columns], [c.given_title for c in columns])


def sampler_of(values: Settings) -> Any:
    """Return the sampler that a column's values describe."""
    return setting.sampler_of({**setting.DEFAULTS, **values})


def settings_of(sampler: Any) -> Settings | None:
    """Return the values of a sampler's controls; None if they would not make the same sampler."""
    from workbench import samplers

    given = samplers.get(sampler)
    for name, kind in STREAMING.items():
        if type(given) is not getattr(samplers, kind.class_name):
            continue
        held = {control: getattr(given, SETTINGS[control].keyword) for control in kind.controls}
        try:
            values = {**_own_defaults(), **setting.check_all(held), "sampler": name}
        except SettingError:
            return None
        same = samplers.serialize(sampler_of(values))["config"] | {"seed": None}
        return values if same == samplers.serialize(given)["config"] | {"seed": None} else None
    return None


def check_values(value: object) -> Settings:
    """Return the checked sampler values of a column from a page; all of them must be there."""
    values = setting.check_page_settings(value)
    if set(values) != set(OWN):
        raise SettingError(f"a column has {', '.join(OWN)}, got {', '.join(values)[:200]}")
    return values


def sampler_text(values: Settings) -> str:
    """Return a sampler in words: its kind and cut, and the other settings that have an effect."""
    kind = STREAMING[values["sampler"]]
    shaping = [
        f"{SETTINGS[name].label.lower()} {values[name]:g}"
        for name in kind.controls
        if name not in STREAMING and values[name] != SETTINGS[name].default
    ]
    cut = "".join(f" {values[name]:g}" for name in kind.controls if name in STREAMING)
    return ", ".join([f"{kind.label}{cut}", *shaping])


def form_of(context: int | None) -> Settings:
    """Return what the page needs to draw the controls of samplers and the shared controls."""
    form = setting.form_of(context)
    samplers = [
        {**kind, "controls": [name for name in kind["controls"] if name not in SHARED]}
        for kind in form["samplers"]
    ]
    return {**form, "samplers": samplers}


def code_of(columns: Sequence[PanelColumn], prompts: Sequence[str], shared: Settings) -> str:
    """Return Python code that writes the same table."""
    models = list({id(column.lm): column.lm for column in columns}.values())
    names = ["lm"] if len(models) == 1 else [f"lm_{n}" for n in range(1, len(models) + 1)]
    named = {id(lm): name for lm, name in zip(models, names, strict=True)}
    lines = ["import workbench as wb", ""]
    for lm, name in zip(models, names, strict=True):
        lines += _loading(lm, name, [c.facts["adapter"] for c in columns if c.lm is lm])
    lines += ["columns = [", *(f"    {c.code(named[id(c.lm)])}," for c in columns), "]"]
    lines += ["prompts = [", *(f"    {setting.quoted(prompt)}," for prompt in prompts), "]"]
    call = "".join(f", {name}={value}" for name, value in shared.items())
    return "\n".join(
        [*lines, f"job = wb.ComparisonJob(columns, prompts{call})", "job.run()", "job.table()"]
    )


def _loading(lm: Any, name: str, adapters: list[str]) -> Iterator[str]:
    if not lm.preset:
        return
    yield f"{name} = wb.models.CausalLM.from_preset({setting.quoted(lm.preset)})"
    for adapter in dict.fromkeys(adapters):
        if adapter in list(lm.adapters):
            path = setting.quoted(adapter)
            yield f"{name}.adapters.load({path})  # from where {name}.adapters.save() put it"


def _own_defaults() -> Settings:
    return {name: setting.DEFAULTS[name] for name in OWN}


def _quoted(adapter: str | None) -> str:
    return "None" if adapter is None else setting.quoted(adapter)


def name_of(source: Any) -> str:
    """Return the name of a model, or of a handle's preset."""
    named = source if isinstance(source, str | Path) else source.preset or source.name
    return Path(named).name
