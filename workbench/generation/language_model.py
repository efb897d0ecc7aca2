"""The methods of a language model that jobs and panels call."""

from __future__ import annotations

from typing import Any, Protocol

from workbench.generation.events import Events


class LanguageModel(Protocol):
    """A model that generates text: a `CausalLM`, or any object that streams the same way."""

    def stream(self, inputs: Any, /, **settings: Any) -> Events:
        """Yield the events of completing a prompt; takes the settings of `CausalLM.stream`."""
        ...

    def prompt_tokens(self, inputs: Any, /) -> int:
        """Return how many tokens the model reads of a prompt."""
        ...
