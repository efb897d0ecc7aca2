"""Which panel opens for a model, by what it reads."""

from __future__ import annotations

from typing import Any

from workbench.presets.catalog import PresetInfo

from ..generate.conversation import refusal_of
from ..generate.panel import GeneratePanel
from ..listen.panel import ListenPanel
from ..look.panel import LookPanel
from ..shared.panel import Panel


def open_panel(lm: Any, info: PresetInfo) -> Panel | None:
    """The panel for a model that was loaded from this preset; None where a panel would show
    nothing that the call does not: models that read one crop and write one word."""
    if info.modality == "speech":
        return ListenPanel(lm)
    if info.modality == "image":
        return None
    chats = info.instruct and not refusal_of(lm)
    if info.modality == "image+text" and not chats:
        return LookPanel(lm)
    return GeneratePanel(lm, chat=chats)
