"""The errors a user can get. Each message says what is wrong, where, what was expected and got."""

from __future__ import annotations

import reprlib
import traceback
from typing import TypeVar

MAX_MESSAGE = 2000


class _Excerpt(reprlib.Repr):
    """Shortens values; Python refuses to print integers of more than 4,300 digits."""

    def repr_int(self, x: int, level: int) -> str:
        return "an integer of over 100 digits" if abs(x) > 10**100 else repr(x)


_EXCERPT = _Excerpt()
_EXCERPT.maxstring = _EXCERPT.maxother = 80
_EXCERPT.maxlist = _EXCERPT.maxtuple = _EXCERPT.maxdict = 20


def shown(value: object) -> str:
    """Return a foreign value for a message: escaped and short, however large it is."""
    if isinstance(value, str):
        text = ascii(value[:80])
    else:
        text = _EXCERPT.repr(value).encode("ascii", "backslashreplace").decode().replace("\n", "")
    return text if len(text) <= 80 else text[:77] + "..."


def details_of(error: BaseException) -> str:
    """Return an error's traceback as text, and clear its frames and those of its causes, because
    they hold the model's arrays."""
    text = "".join(traceback.format_exception(error))
    seen: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and behind not in seen:
        traceback.clear_frames(behind.__traceback__)
        seen.append(behind)
        behind = behind.__cause__ or behind.__context__
    return text


Value = TypeVar("Value")


def present(value: Value | None, expected: str) -> Value:
    """Return a value that an earlier call has set.

    Raises:
        RuntimeError: the value is not set: a mistake of the caller, not of the user.
    """
    if value is None:
        raise RuntimeError(f"expected {expected}")
    return value


class WorkbenchError(ValueError):
    """Base of every error raised on purpose. Messages have at most 2,000 characters, all of which
    UTF-8 can encode."""

    def __init__(self, message: str) -> None:
        message = message.encode("utf-8", "backslashreplace").decode()  # names hold surrogates
        if len(message) > MAX_MESSAGE:
            message = message[: MAX_MESSAGE - 4] + " ..."
        super().__init__(message)


class PresetError(WorkbenchError):
    """A preset, or a file in it, is missing, malformed, or does not fit the model."""

    @classmethod
    def at(cls, file: object, key: object, expected: object, got: object) -> PresetError:
        """Make an error of the usual form: file, key, the expected and the found value; the latter
        may be in words."""
        got = got[:200] if isinstance(got, str) else shown(got)
        return cls(f"{file}: {key}: expected {expected}, got {got}")


class MemoryTooSmallError(PresetError):
    """A model would not fit into the free memory; the message names what would."""


class LoadCancelled(Exception):
    """A load was stopped by the listener to its progress; no part of it stays loaded.

    It is not a `WorkbenchError`, so handlers of mistakes in files or settings let it pass.
    """

    def __init__(self, message: str = "the load was cancelled") -> None:
        super().__init__(message)


class SettingError(WorkbenchError):
    """A setting of a sampler, a model or a call is impossible."""


class PromptError(WorkbenchError):
    """A prompt cannot be used: wrong type, empty, or longer than the model's context."""


class ChatTemplateError(WorkbenchError):
    """A model has no chat template, or its template is wrong, refuses the messages, or takes too
    much time or memory."""


class ImageError(WorkbenchError):
    """A picture cannot be used: unreadable, of an unsupported kind, or too large."""


class AudioError(WorkbenchError):
    """A recording cannot be used: unreadable, of an unsupported kind, too short or too long."""


class AdapterError(WorkbenchError):
    """An adapter does not fit the model, or its file is missing, malformed or of another kind."""


class ModelInTrainingError(WorkbenchError):
    """A call would change a model that is being trained. The message names the training; for a
    `TrainingJob`, the job, its adapter and how to pause it."""


class DataError(WorkbenchError):
    """Training data cannot be used: a file is missing, empty or malformed, or a record lacks what
    the model learns from. The message names the file and line, or the record."""


class CheckpointError(WorkbenchError):
    """A training run cannot be resumed: its checkpoint is missing or damaged, the data or the model
    differ, or its folder is in use."""


class TrainingDiverged(WorkbenchError):
    """Training was stopped because the loss or its gradient was not finite, or exploded.

    Attributes:
        step: the step that diverged, counted from 1.
        loss: the loss of that step, per token.
        examples: the examples in its batch.
    """

    def __init__(self, message: str, step: int, loss: float, examples: tuple[int, ...]) -> None:
        super().__init__(message)
        self.step, self.loss, self.examples = step, loss, examples
