"""A family's GGUF files as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.backbones.weights import Rules
from workbench.formats.gguf_settings import GgufSettings


def _any_file(settings: GgufSettings) -> bool:
    return True


@dataclass(frozen=True)
class Gguf:
    """The form of a family's GGUF files.

    Attributes:
        architecture: the `general.architecture` of its files.
        rules: its weights.
        read: reads the backbone's arguments from the metadata. Keys that it does not take are
            refused.
        ignored: names of tensors that may be present and are not weights; they may hold `{i}`.
        tied: whether all its models project to logits with the token table. Files may hold a
            second, differently rounded table; the first is used for both.
        match: distinguishes families of the same architecture.
    """

    architecture: str
    rules: Rules
    read: Callable[[GgufSettings], dict[str, Any]]
    ignored: tuple[str, ...] = ()
    tied: bool = False
    match: Callable[[GgufSettings], bool] = _any_file

    def arguments(self, settings: GgufSettings) -> dict[str, Any]:
        """Return the backbone's arguments.

        Raises:
            PresetError: a setting is missing, impossible or unknown.
        """
        found = self.read(settings)
        settings.finish()
        return found
