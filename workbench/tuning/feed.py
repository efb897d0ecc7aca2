"""What a run learns from and what it is tested on, and how to tell them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from workbench.backbones.tables import no_row, target_input
from workbench.data.batches import Batch, Batches
from workbench.data.examples import Examples
from workbench.errors import DataError
from workbench.tuning.settings import TuneSettings

Facts = dict[str, str | int]
"""Plain values that tell whether something is the same again."""


class TrainingBatches(Protocol):
    """Batches by their number; `Batches` is one."""

    @property
    def per_epoch(self) -> int:
        """Batches that show every example once."""

    def batch(self, step: int) -> Batch:
        """The batch of a number from 0: the same one whenever it is asked for."""


class HeldOut(Protocol):
    """Batches that are not trained on; `Batches` is one."""

    def validation(self) -> Iterator[Batch]:
        """Every example once, always in the same order."""


@dataclass(frozen=True)
class Feed:
    """The batches of a run.

    Attributes:
        train: what it learns from.
        held_out: what it is tested on; None for nothing.
        facts: what tells these data from others, by "data" and "validation".
        names: of the examples, by their index, for messages.
        longest: positions of the longest row.
    """

    train: TrainingBatches
    held_out: HeldOut | None = None
    facts: dict[str, Facts] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    longest: int = 0

    def name(self, index: int) -> str:
        """How a message calls an example."""
        said = self.names[index] if index < len(self.names) else ""
        return f"{index} ({said})" if said else str(index)


def read_feed(lm: Any, data: Any, validation: Any, settings: TuneSettings) -> Feed:
    """Training batches and held-out batches of what a user gave.

    Args:
        lm: the model whose preprocessor reads them.
        data: what `read_examples` reads, `Examples`, or a `Feed` as it is.
        validation: a share of the examples, or how many of them; other data; or None.
        settings: of the run.

    Raises:
        DataError, SettingError: as `read_examples`, `Examples.split` and `Batches`.
        PromptError: an example has a token that the model has not.

    A warning says of how many examples nothing is learnt: they are left out.
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
    test = held_out and Batches(held_out, settings.batch_size, settings.length)
    parts = {"data": train, "validation": test}
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
    """How many examples and tokens there are, and a digest (SHA-256) of every token, of what is
    learnt, and of arrays beside the tokens."""
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
    """What differs between the facts here and those of a checkpoint, a line each."""
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


def _examples(lm: Any, data: Any, settings: TuneSettings) -> Examples:
    if isinstance(data, Examples):
        return data
    from workbench.data.reading import read_examples

    return read_examples(data, lm, length=settings.length)


def _check_ids(lm: Any, examples: Examples) -> None:
    tables = lm.backbone.tables
    rows = tables[target_input(tables)].rows
    for example in examples:
        beyond = example.ids[example.ids >= rows]
        if len(beyond):
            raise no_row(f"training data: {example.where}", beyond[0], rows, lm._token_name)


def _longest(batches: Batches) -> int:
    return batches.length if batches.packing else batches.examples.longest - 1


def _parts(value: Any) -> Iterator[bytes]:
    """The bytes of arrays, pictures and strings, however deep they are nested."""
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
