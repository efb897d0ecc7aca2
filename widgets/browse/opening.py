"""Opens the panel that fits a model's inputs."""

from __future__ import annotations

from typing import Any

from workbench.presets.catalog import PresetInfo

from ..generate.conversation import refusal_of
from ..generate.panel import GeneratePanel
from ..listen.panel import ListenPanel
from ..look.panel import LookPanel
from ..shared.panel import Panel


def open_panel(lm: Any, info: PresetInfo) -> Panel | None:
    """Return the panel for a model loaded from this preset; None for models that read one crop and
    write one word, since a panel would show no more than the call."""
    if info.modality == "speech":
        return ListenPanel(lm)
    if info.modality == "image":
        return None
    chats = info.instruct and not refusal_of(lm)
    if info.modality == "image+text" and not chats:
        return LookPanel(lm)
    return GeneratePanel(lm, chat=chats)
