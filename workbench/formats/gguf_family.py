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
    """How a family looks in GGUF files.

    Attributes:
        architecture: the `general.architecture` of its files.
        rules: its weights.
        config: its metadata to the backbone's arguments; refuses what it does not understand.
        ignored: names of tensors that may be present and are not weights; they may hold `{i}`.
        tied: whether all its models project to logits with the token table. Files may hold the
            table a second time, rounded otherwise; the first is used for both.
        match: tells families of the same architecture apart.
    """

    architecture: str
    rules: Rules
    config: Callable[[GgufSettings], dict[str, Any]]
    ignored: tuple[str, ...] = ()
    tied: bool = False
    match: Callable[[GgufSettings], bool] = _any_file
