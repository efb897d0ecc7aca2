"""The part of the compare panel before a run: models, columns, prompts and settings."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import traitlets

from workbench.errors import SettingError

from ..shared import settings as setting
from ..shared.controls import setting_traits
from ..shared.model import check_model, heading_of
from ..shared.model_panel import ModelPanel
from . import columns as parts

MAX_PROMPTS = 50
VIEWS = ("differences", "probability", "plain")


def check_prompts(value: object) -> list[str]:
    """Return one text or a list of texts as a list, or raise a SettingError."""
    prompts = [value] if isinstance(value, str) else value
    if not isinstance(prompts, list | tuple) or not 1 <= len(prompts) <= MAX_PROMPTS:
        raise SettingError(f"prompts must be a text or a list of 1 to {MAX_PROMPTS} texts")
    return [setting.check_text("prompt", prompt) for prompt in prompts]


def check_view(value: object) -> str:
    """Return how the texts are shown, or raise a SettingError."""
    if not isinstance(value, str) or value not in VIEWS:
        raise SettingError(f"show must be one of {', '.join(VIEWS)}, got {str(value)[:80]!r}")
    return value


class CompareBase(setting_traits({n: setting.DEFAULTS[n] for n in parts.SHARED}), ModelPanel):
    """The comparison before a run: models, columns, prompts and settings.

    Args:
        places: The requested columns.
        prompts: One text or several.
        shared: `max_new_tokens` and `seed`.
    """

    prompts = traitlets.Any([""]).tag(sync=True)
    show = traitlets.Any("differences").tag(sync=True)
    reference = traitlets.Any(0).tag(sync=True)
    columns = traitlets.List().tag(sync=True)
    form = traitlets.Dict().tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        places: Sequence[parts.Place],
        prompts: str | Sequence[str],
        shared: setting.Settings,
    ) -> None:
        self._places = places
        self._models: dict[str, Any] = {}  # by handle, once loaded
        self._columns: list[parts.PanelColumn] = []
        self._initial = {name: setting.check(name, value) for name, value in shared.items()}
        checks = {name: functools.partial(setting.check, name) for name in parts.SHARED}
        own = {"prompts": check_prompts, "show": check_view, "reference": self._check_reference}
        self.page_writes = {**checks, **own}
        for place in places:
            if not place.is_handle:
                check_model(place.source)
                place.column(place.source)  # raises if the column is impossible
        handles = list(dict.fromkeys(str(place.source) for place in places if place.is_handle))
        super().__init__(
            handles[0] if handles else places[0].source,
            handles[1:],
            prompts=check_prompts(prompts),
            form=parts.form_of(None),
            **self._initial,
        )

    # -- actions ------------------------------------------------------------------------

    def set_sampler(self, index: int, **values: Any) -> None:
        """Change the sampler of column `index`: `sampler`, `temperature`, `top_k`, `top_p`,
        `min_p`, `repetition_penalty`. It applies to the next run.

        Raises:
            SettingError: There is no such column or setting, a value is out of its range, or the
                column has a sampler of another kind.
        """
        with self._lock:
            chosen = self._column(index)
            checked = parts.check_values({**chosen.values, **setting.check_all(values)})
            chosen.values = checked
            self._describe_columns()

    @property
    def settings(self) -> setting.Settings:
        """`max_new_tokens`, `seed`, and `columns`: the values of each column's sampler, None if it
        cannot be changed."""
        shared = {name: getattr(self, name) for name in parts.SHARED}
        return {**shared, "columns": [one.values for one in self._columns]}

    def set_settings(self, settings: setting.Settings) -> None:
        """Set all settings to these checked values."""
        for name in parts.SHARED:
            self.set_trait(name, settings[name])
        for one, values in zip(self._columns, settings["columns"], strict=False):
            one.values = values
        if self._columns:
            self._describe_columns()

    # -- models and columns -------------------------------------------------------------

    def choose_model(self, lms: dict[str, Any]) -> Any:
        """Return the model of the first column."""
        self._models = lms
        self._make_columns()
        return self._columns[0].lm

    def adopt(self, lm: Any) -> None:
        """Take over the loaded models: title the columns and set the controls' ranges."""
        if not self._columns:
            self._make_columns()
        models = self._lms()
        if len(models) == 1:
            self.heading = {**heading_of(lm), "name": f"Compare · {heading_of(lm)['name']}"}
        else:
            names = ", ".join(parts.name_of(one) for one in models)
            self.heading = {"name": f"Compare · {names}"}
        self.form = parts.form_of(max(one.max_length for one in models))
        self._describe_columns()

    def _make_columns(self) -> None:
        self._columns = [
            parts.PanelColumn(
                place, self._models[str(place.source)] if place.is_handle else place.source
            )
            for place in self._places
        ]

    def _lms(self) -> list[Any]:
        return list({id(c.lm): c.lm for c in self._columns}.values())

    def _describe_columns(self) -> None:
        titles, several = parts.titles_now(self._columns), len(self._lms()) > 1
        self.columns = [
            c.entry(title, several) for c, title in zip(self._columns, titles, strict=True)
        ]
        self._write_code()

    def _column(self, index: object) -> parts.PanelColumn:
        if type(index) is not int or not 0 <= index < len(self._columns):
            raise SettingError(f"there is no column {str(index)[:20]}")
        if self._columns[index].values is None:
            raise SettingError(
                f"the sampler of column {index} has no controls: make a panel with another one"
            )
        return self._columns[index]

    # -- traits -------------------------------------------------------------------------

    def _check_reference(self, value: object) -> int:
        if type(value) is not int or not 0 <= value < len(self._places):
            raise SettingError(f"reference must be the number of a column, got {str(value)[:20]}")
        return value

    @traitlets.validate("prompts", "show", "reference", *parts.SHARED)
    def _check_trait(self, proposal: traitlets.Bunch) -> Any:
        return self.page_writes[proposal["trait"].name](proposal["value"])

    @traitlets.observe("prompts", *parts.SHARED)
    def _write_code(self, change: traitlets.Bunch | None = None) -> None:
        if not self._columns:
            self.code = "# The models are loading."
            return
        shared = {name: getattr(self, name) for name in parts.SHARED}
        self.code = parts.code_of(self._columns, self.prompts, shared)
