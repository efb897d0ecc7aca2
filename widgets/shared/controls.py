"""Controls of settings: what the page is told of each, and the traits that hold their values.

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
    """A setting that a person may change, and what it starts with. At the value `off` the page says
    so; None where it shows a number at every value."""

    setting: Setting
    start: float
    off: float | None = None

    @property
    def name(self) -> str:
        """The setting's name."""
        return self.setting.name

    def page_form(self, context: int | None) -> dict[str, Any]:
        """What the page draws it from, for a model that reads `context` tokens."""
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
    """Controls by the names of their settings."""
    return {control.name: control for control in controls}


def setting_traits(defaults: Mapping[str, Any]) -> type[traitlets.HasTraits]:
    """A class to inherit from, with a trait for every setting that the page shares."""
    traits = {name: traitlets.Any(value).tag(sync=True) for name, value in defaults.items()}
    return types.new_class(
        "SettingTraits", (traitlets.HasTraits,), exec_body=lambda body: body.update(traits)
    )
