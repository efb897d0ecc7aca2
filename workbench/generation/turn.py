"""What a generation can continue in place of a prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from workbench.generation.events import Event


class Turn(ABC):
    """What a job can run in place of a prompt: the next reply of a `Chat`."""

    @abstractmethod
    def stream(self, **settings: Any) -> Iterator[Event]:
        """Its events; the settings are those of `CausalLM.stream`."""

    @property
    @abstractmethod
    def prompt_tokens(self) -> int:
        """How many tokens the model is given, once it runs."""
