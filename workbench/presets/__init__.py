"""Find, load and save presets. Call the module itself to list them: `workbench.presets()`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.presets.listing import PresetTable


class _Presets(ModuleType):
    """A package that lists its presets when it is called."""

    def __call__(
        self,
        *,
        search: str = "",
        family: str | None = None,
        modality: str | None = None,
        instruct: bool | None = None,
        licence: str | None = None,
        max_parameters: float | None = None,
    ) -> PresetTable:
        """Return a table of the presets known by name that match every given argument.

        ```python
        wb.presets(family="Gemma 3", instruct=True, max_parameters=4e9)
        ```

        Args:
            search: words that the name, family, licence or description must contain.
            family: such as "Gemma 3"; case, spaces and hyphens do not matter, here and below.
            modality: "text", "image+text", "speech" or "image".
            instruct: True for models tuned to follow instructions, False for the others.
            licence: such as "Apache-2.0".
            max_parameters: the largest number of parameters.

        Raises:
            SettingError: no preset has this family, modality or licence; the message lists the
                known ones.
        """
        from workbench.presets.catalog import presets
        from workbench.presets.listing import PresetTable

        return PresetTable(presets()).filter(
            search=search,
            family=family,
            modality=modality,
            instruct=instruct,
            licence=licence,
            max_parameters=max_parameters,
        )


sys.modules[__name__].__class__ = _Presets
