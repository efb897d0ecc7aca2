"""Checks what may change when a run resumes from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import CheckpointError
from workbench.tuning.checkpoint_content import Checkpoint
from workbench.tuning.feed import Facts, differences
from workbench.tuning.settings import TuneSettings

# None of these settings changes what the model learns.
_FREE = ("validation_every", "sample_every", "sample_prompts", "sample_tokens", "save_every")


def changed(settings: TuneSettings, changes: Mapping[str, Any]) -> TuneSettings:
    """Return the settings of a resumed run.

    Raises:
        CheckpointError: a setting changes what the model learns.
    """
    kept = {name: value for name, value in vars(settings).items() if name not in changes}
    made = TuneSettings.of({**kept, **changes})
    wrong = [n for n in changes if n not in _FREE and getattr(made, n) != getattr(settings, n)]
    if wrong:
        raise CheckpointError(
            f"resume_from: {', '.join(wrong)}: expected the settings of the checkpoint, got others:"
            f" only {', '.join(_FREE)} may change"
        )
    return made


def check_same(folder: str | Path, here: dict[str, Facts], checkpoint: Checkpoint) -> None:
    """Refuse to resume with other data or another model than the checkpoint's.

    Raises:
        CheckpointError: the data or the model differ; the message lists the differences.
    """
    wrong = differences(here, dict(checkpoint.facts))
    if wrong:
        raise CheckpointError(
            f"{folder}: the run cannot go on with other data or another model: {'; '.join(wrong)}"
        )
