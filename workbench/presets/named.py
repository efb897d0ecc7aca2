"""`cls.presets`: the built-in presets a class can load."""

from __future__ import annotations

from typing import Any


class NamedPresets:
    """A read-only class attribute: preset names to metadata, as `handles.list_presets` has them."""

    def __get__(self, instance: object, owner: type) -> dict[str, dict[str, Any]]:
        from workbench.presets.handles import list_presets

        return list_presets(owner)
