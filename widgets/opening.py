"""Which panel opens for a model, by what it reads."""

from __future__ import annotations

from typing import Any

from workbench.presets.catalog import PresetInfo

from .conversation import refusal_of
from .panel import Panel


def open_panel(lm: Any, info: PresetInfo) -> Panel | None:
    """The panel for a model that was loaded from this preset; None where a panel would show
    nothing that the call does not: models that read one crop and write one word."""
    if info.modality == "speech":
        from .listen import ListenPanel

        return ListenPanel(lm)
    if info.modality == "image":
        return None
    chats = info.instruct and not refusal_of(lm)
    if info.modality == "image+text" and not chats:
        from .look import LookPanel

        return LookPanel(lm)
    from .generate import GeneratePanel

    return GeneratePanel(lm, chat=chats)
