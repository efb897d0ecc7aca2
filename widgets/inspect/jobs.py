"""Writes a branch: adds its tokens as they come, and sends them to the page at a limited rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from workbench.generation.events import Done, Token
from workbench.inspection import Continuation
from workbench.jobs.generation import GenerationJob, JobState

from ..shared.pace import Pace
from ..shared.settings import Settings
from .branches import Branch
from .settings import sampler_of

STATUS = {"queued": "queued", "compiling": "compiling", "stopping": "stopping"}


class Writing:
    """Continues a branch from its token ids.

    Args:
        lm: The model.
        branch: A branch with at least one own token.
        settings: The panel's settings.
        on_event: Called with this and each event of the job, after the branch handled it.

    Raises:
        SettingError: The sampler refuses its settings.
    """

    def __init__(
        self,
        lm: Any,
        branch: Branch,
        settings: Settings,
        on_event: Callable[[Writing, JobState | Token | Done], None],
    ) -> None:
        self.branch = branch
        self._pace = Pace()
        self._sent = len(branch.pieces)
        self._size = 0
        self._on_event = on_event
        self.job = GenerationJob(
            lm,
            Continuation(lm, branch.ids),
            sampler=sampler_of(settings, lm.backbone.config.vocabulary_size),
            max_new_tokens=settings["max_new_tokens"],
            seed=settings["seed"],
            on_event=self._take,
        )

    @property
    def rate(self) -> float:
        """Tokens per second of decoding so far."""
        return round(self.job.stats.tokens_per_second, 1) if self.job.stats else 0.0

    @property
    def status(self) -> str:
        """The panel's name of the job's state."""
        return STATUS.get(self.job.status) or ("streaming" if self.job.tokens else "prefill")

    def due(self) -> str | None:
        """Return what to send to the page now: "delta", "snapshot" or None."""
        return self._pace.due(self._size)

    def delta(self) -> dict[str, Any]:
        """Return a message with the tokens since the last one."""
        offset, end = self._sent, len(self.branch.pieces)
        self._sent = end
        return {
            "type": "tokens",
            "branch": self.branch.number,
            "offset": offset,
            "pieces": self.branch.pieces[offset:end],
            "ids": self.branch.ids[offset:end],
            "logprobs": [number_of(value) for value in self.branch.logprobs[offset:end]],
            "rate": self.rate,
        }

    def sent(self) -> None:
        """Note that the page has everything."""
        self._sent = len(self.branch.pieces)

    def _take(self, event: JobState | Token | Done) -> None:
        if isinstance(event, Token):
            self.branch.extend(event.id, event.text, event.logprob)
            self._size += len(event.text) + 24  # about what the numbers of a token take
        self._on_event(self, event)


def number_of(value: float) -> float | None:
    """Return a number as JSON has it."""
    return round(value, 4) if math.isfinite(value) else None
