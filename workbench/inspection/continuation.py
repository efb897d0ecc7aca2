"""Going on from token ids exactly, where text would be cut into tokens anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from workbench.generation.events import Event
from workbench.generation.turn import Turn


class Continuation(Turn):
    """What a `GenerationJob` runs to go on from ids: `GenerationJob(lm, Continuation(lm, ids))`.

    Args:
        lm: a `CausalLM`.
        ids: token ids (T,).
    """

    def __init__(self, lm: Any, ids: Sequence[int] | np.ndarray) -> None:
        self._lm, self.ids = lm, np.asarray(ids, np.int32)

    def stream(self, **settings: Any) -> Iterator[Event]:
        """The events of the tokens that follow; the settings are those of `CausalLM.stream`.

        Raises:
            PromptError: there are no ids, one is not in the vocabulary, or they leave no room.
            SettingError: as `CausalLM.stream`, or the model cannot go on from ids.
        """
        return self._lm.stream_ids(self.ids, **settings)

    @property
    def prompt_tokens(self) -> int:
        return len(self.ids)
