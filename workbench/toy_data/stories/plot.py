"""Plots: a text in the grammar, the slots it binds, and the heroes it suits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plot:
    """One story schema.

    A line of `text` is a sentence or a few; an empty line starts a paragraph; a line that starts
    with "?" is told about half of the time. The first line, marked "!", is the hook: a predicate
    that follows the hero, so that a story can begin "A fox named Pim" + hook.

    `suits` is "child", "mover" (whoever can walk, run or roll) or "any" (a lighthouse too).
    `we` says that "they" in the narration means the hero and a friend, so that "I" may tell it.
    `slots` are bound in order, after the cast and the common slots.
    """

    suits: str
    text: str
    slots: Mapping[str, Any] = field(default_factory=dict)
    we: bool = False
