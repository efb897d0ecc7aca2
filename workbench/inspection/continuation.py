"""Continues exact token ids; text would be tokenised again, perhaps into other tokens."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from workbench.generation.events import Events
from workbench.generation.request import Ids
from workbench.generation.turn import Turn


class GoesOn(Protocol):
    """A language model that continues token ids, such as a `CausalLM`."""

    def stream_ids(self, ids: Ids, /, **settings: Any) -> Events:
        """Return the events of the new tokens."""
        ...


class Continuation(Turn):
    """A turn that continues ids, for a `GenerationJob`: `GenerationJob(lm, Continuation(lm, ids))`.

    Args:
        lm: a `CausalLM`.
        ids: token ids (T,).
    """

    def __init__(self, lm: GoesOn, ids: Ids) -> None:
        self._lm, self.ids = lm, np.asarray(ids, np.int32)

    def stream(self, **settings: Any) -> Events:
        """Return the events of the new tokens; the settings are those of `CausalLM.stream`.

        Raises:
            PromptError: there are no ids, one is not in the vocabulary, or they leave no room.
            SettingError: as `CausalLM.stream`, or the model cannot continue ids.
        """
        return self._lm.stream_ids(self.ids, **settings)

    @property
    def prompt_tokens(self) -> int:
        return len(self.ids)
