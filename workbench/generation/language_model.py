"""What jobs and panels ask of a language model."""

from __future__ import annotations

from typing import Any, Protocol

from workbench.generation.events import Events


class LanguageModel(Protocol):
    """A model that writes: a `CausalLM`, or whatever streams as it does."""

    def stream(self, inputs: Any, /, **settings: Any) -> Events:
        """What happens while a prompt is completed; the settings are those of `CausalLM.stream`."""
        ...

    def prompt_tokens(self, inputs: Any, /) -> int:
        """How many tokens the model reads of a prompt."""
        ...
