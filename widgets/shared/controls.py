"""Controls of settings: their description for the page, and the traits that hold their values.

Bounds, labels and steps come from the table in `workbench.samplers.settings`.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import traitlets

from workbench.samplers.settings import Setting


@dataclass(frozen=True, slots=True)
class Control:
    """A setting that a person may change, and its first value. At the value `off` the page shows
    "off"; with None it always shows the number."""

    setting: Setting
    start: float
    off: float | None = None

    @property
    def name(self) -> str:
        """The setting's name."""
        return self.setting.name

    def page_form(self, context: int | None) -> dict[str, Any]:
        """Return its description for the page, for a model that reads `context` tokens."""
        low, reach = self.setting.slider or (self.setting.low, self.setting.high)
        if self.name == "max_new_tokens" and context:
            reach = min(reach, context)
        return {
            "name": self.name,
            "label": self.setting.label,
            "low": low,
            "reach": reach,
            "step": self.setting.step,
            "off": self.off,
        }


def by_name(controls: Iterable[Control]) -> dict[str, Control]:
    """Return controls by the names of their settings."""
    return {control.name: control for control in controls}


def setting_traits(defaults: Mapping[str, Any]) -> type[traitlets.HasTraits]:
    """Return a base class with a trait for every setting that the page shares."""
    traits = {name: traitlets.Any(value).tag(sync=True) for name, value in defaults.items()}
    return types.new_class(
        "SettingTraits", (traitlets.HasTraits,), exec_body=lambda body: body.update(traits)
    )
