"""Sample completions between steps, which show what the model has learned so far."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any

from workbench.generation.events import Done, Status
from workbench.generation.language_model import LanguageModel
from workbench.tuning.events import Moment


def completion(
    lm: LanguageModel, prompt: str | Mapping[str, Any], tokens: int, seed: int
) -> Generator[Moment, None, str]:
    """Complete a prompt with the likeliest tokens; it can be left after each of them.

    Args:
        lm: the model.
        prompt: what `lm.stream` takes.
        tokens: the most tokens to add.
        seed: for models that draw tokens anyway.

    Returns:
        The completion, without the prompt.

    Raises:
        PromptError: the prompt cannot be completed.
    """
    made = ""
    stream = lm.stream(prompt, sampler="greedy", max_new_tokens=tokens, seed=seed)
    with contextlib.closing(stream) as events:
        for event in events:
            if isinstance(event, Done):
                made = event.text
            else:
                yield Moment(isinstance(event, Status) and event.stage == "compiling")
    return made


def words_of(prompt: str | Mapping[str, Any]) -> str:
    """Return the text of a prompt, which may also hold pictures."""
    if isinstance(prompt, str):
        return prompt
    words = (prompt.get(key) for key in ("prompts", "text"))
    return next((word for word in words if isinstance(word, str)), "")
