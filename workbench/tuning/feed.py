"""The training and held-out batches of a run, and the facts that identify the data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.backbones.tables import no_row, target_input
from workbench.data.batches import Batch, Batches
from workbench.data.examples import Examples
from workbench.errors import DataError
from workbench.tuning.settings import TuneSettings

if TYPE_CHECKING:
    from workbench.tasks.causal_lm import CausalLM

Facts = dict[str, str | int]
"""Plain values that identify data or a model."""


class TrainingBatches(Protocol):
    """Training batches by number; `Batches` implements it."""

    @property
    def per_epoch(self) -> int:
        """The number of batches that show every example once."""
        ...

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0; always the same one for a step."""
        ...


class HeldOut(Protocol):
    """Held-out batches; `Batches` implements it."""

    def validation(self) -> Iterator[Batch]:
        """Yield every example once, always in the same order."""
        ...


@dataclass(frozen=True)
class Feed:
    """The batches of a run.

    Attributes:
        train: the training batches.
        held_out: the held-out batches, or None.
        facts: the facts that identify the data, under "data" and "validation".
        names: the examples' names by index, for messages.
        longest: positions of the longest row.
    """

    train: TrainingBatches
    held_out: HeldOut | None = None
    facts: dict[str, Facts] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    longest: int = 0

    def name(self, index: int) -> str:
        """Return an example's name for messages."""
        said = self.names[index] if index < len(self.names) else ""
        return f"{index} ({said})" if said else str(index)


def read_feed(lm: CausalLM, data: Any, validation: Any, settings: TuneSettings) -> Feed:
    """Make the training and held-out batches from a user's data.

    Args:
        lm: the model whose preprocessor reads the data.
        data: anything that `read_examples` reads, `Examples`, or a `Feed`, returned unchanged.
        validation: a share or a number of the examples; other data; or None.
        settings: the run's settings.

    Raises:
        DataError, SettingError: as `read_examples`, `Examples.split` and `Batches`.
        PromptError: an example has a token that the model does not have.

    Examples without a learnt token are left out; a warning says how many.
    """
    if isinstance(data, Feed):
        return data
    examples, held_out = _examples(lm, data, settings), None
    if isinstance(validation, bool):
        raise DataError(f"validation: expected a share, data or None, got {validation}")
    if isinstance(validation, int | float):
        examples, held_out = examples.split(validation, settings.seed)
    elif validation is not None:
        held_out = _examples(lm, validation, settings)
    train = Batches(examples, settings.batch_size, settings.length, settings.packing, settings.seed)
    test = None
    if held_out is not None:
        test = Batches(held_out, settings.batch_size, settings.length)
    parts: dict[str, Batches | None] = {"data": train, "validation": test}
    for name, part in parts.items():
        if part is not None:
            _check_ids(lm, part.examples)
            part.examples.tell_dropped(f"training: {name}")
    return Feed(
        train=train,
        held_out=test,
        facts={name: facts_of(part.examples) for name, part in parts.items() if part},
        names=tuple(example.where for example in train.examples),
        longest=max(_longest(part) for part in parts.values() if part),
    )


def facts_of(examples: Examples) -> Facts:
    """Return the number of examples and tokens, and a SHA-256 digest of all tokens, of which ones
    are learnt, and of the other arrays."""
    digest = hashlib.sha256()
    for example in examples:
        for part in _parts([example.ids, example.loss, example.source]):
            digest.update(part)
    return {
        "examples": len(examples),
        "tokens": examples.tokens,
        "tokens to learn": examples.loss_tokens,
        "longest example": examples.longest,
        "digest": digest.hexdigest(),
    }


def differences(here: dict[str, Facts], there: dict[str, Facts]) -> list[str]:
    """Return the differences between these facts and a checkpoint's, one line each."""
    found = []
    for kind in sorted(here.keys() | there.keys()):
        ours, theirs = here.get(kind, {}), there.get(kind, {})
        found += [
            f"{kind}: {name}: {theirs.get(name, 'none')} in the checkpoint, "
            f"{ours.get(name, 'none')} here"
            for name in dict.fromkeys([*theirs, *ours])
            if theirs.get(name) != ours.get(name)
        ]
    return found


def _examples(lm: CausalLM, data: Any, settings: TuneSettings) -> Examples:
    if isinstance(data, Examples):
        return data
    from workbench.data.sources import read_examples

    return read_examples(data, lm, length=settings.length)


def _check_ids(lm: CausalLM, examples: Examples) -> None:
    tables = lm.backbone.tables
    rows = tables[target_input(tables)].rows
    for example in examples:
        beyond = example.ids[example.ids >= rows]
        if len(beyond):
            raise no_row(f"training data: {example.where}", beyond[0], rows, lm.token_name)


def _longest(batches: Batches) -> int:
    return batches.length if batches.packing else batches.examples.longest - 1


def _parts(value: Any) -> Iterator[bytes]:
    """Yield the bytes of arrays, pictures and strings at any depth of nesting."""
    from PIL import Image

    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            left += [[key, value[key]] for key in sorted(value, key=str, reverse=True)]
        elif isinstance(value, list | tuple):
            yield f"{len(value)} ".encode()
            left += reversed(value)
        elif isinstance(value, np.ndarray | Image.Image):
            array = np.asarray(value)
            yield f"{array.dtype} {array.shape} ".encode() + array.tobytes()
        elif isinstance(value, bytes):
            yield value
        elif isinstance(value, int):  # hexadecimal digits have no limit
            yield (str if abs(value) < 2**64 else hex)(value).encode()
        elif isinstance(value, str | float | Path):
            yield str(value).encode(errors="surrogatepass")
