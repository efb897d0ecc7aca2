"""A turn of a conversation, which a job can run instead of a prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from workbench.generation.events import Events


class Turn(ABC):
    """The next reply of a `Chat`, which a job can run instead of a prompt."""

    @abstractmethod
    def stream(self, **settings: Any) -> Events:
        """Yield the reply's events; takes the settings of `CausalLM.stream`."""

    @property
    @abstractmethod
    def prompt_tokens(self) -> int:
        """The number of prompt tokens the model reads when the turn runs."""
