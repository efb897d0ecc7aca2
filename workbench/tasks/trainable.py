"""Checks that training would change something."""

from __future__ import annotations

from typing import Any, Protocol

from workbench.backbones.adapters import Adapters
from workbench.errors import AdapterError, SettingError


class HasAdapters(Protocol):
    """The part of a task that this check reads."""

    @property
    def adapters(self) -> Adapters: ...

    @property
    def trainable_variables(self) -> list[Any]: ...


def check_trainable(task: HasAdapters, call: str) -> None:
    """Refuse training that would change no weight.

    Raises:
        AdapterError: an adapter is merged, or there are adapters but none is active.
        SettingError: all weights are frozen.
    """
    adapters = task.adapters
    if adapters.merged:
        raise AdapterError(
            f"{call}: the adapter {adapters.active!r} is merged, where training does not reach "
            "it: call adapters.unmerge() first"
        )
    if not task.trainable_variables:
        if adapters and adapters.active is None:
            raise AdapterError(
                f"{call}: expected an active adapter to train, one of {list(adapters)}, got none: "
                "call adapters.use(name), or remove them all to train the model's own weights"
            )
        raise SettingError(
            f"{call}: expected something to train, but all weights are frozen: set trainable to "
            "True on the model, its backbone or the layers to train"
        )
