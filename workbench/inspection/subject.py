"""What is looked into: one text as the model reads it, and the weights it is read with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from workbench.backbones.observing import Seen, observing
from workbench.errors import PromptError
from workbench.estimates import peaks
from workbench.estimates.sizes import Sizes
from workbench.generation.lengths import check_length
from workbench.generation.memory import admit_reading
from workbench.generation.programs import Programs, padded
from workbench.generation.request import checked_ids
from workbench.interrupts import held
from workbench.memory.door import names_exhaustion
from workbench.tokenizers import Tokenizer

CHANGED = "The model has been trained or changed since it read this text: read it again"


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Given:
    """A text as a program takes it: weights, ids int32 (1, P) padded to their bucket, their number
    int32 (1,), what else the backbone reads, and whether longrope's long factors are needed."""

    parameters: list[jax.Array]
    ids: jax.Array
    lengths: jax.Array
    source: Mapping[str, jax.Array]
    stretched: bool = field(metadata={"static": True})

    @contextmanager
    def read(self, programs: Programs, *names: str) -> Iterator[tuple[jax.Array, Seen]]:
        """The hidden states (1, P, width), and what the layers show under these names. Within the
        block the backbone holds the weights."""
        with programs.holding(self.parameters), observing(*names) as seen:
            hidden, _ = programs.backbone.read(
                self.ids, self.lengths, self.stretched, **self.source
            )
            yield hidden, seen


Maker = Callable[[Programs, int], Callable[..., Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """One text of T tokens before a model.

    Attributes:
        programs: of the model.
        tokenizer: None for a model that is fed ids.
        ids: int32 (T,).
        source: what else the backbone reads, as a request of that one text has it.
        most: tokens it may have; None for what the model's positions allow.
        parameters: the backbone's arrays of the moment, so that adapters or training change
            nothing about a text that has been read.
        adapter: the name of the adapter among them.
    """

    programs: Programs
    tokenizer: Tokenizer | None
    ids: np.ndarray
    source: Mapping[str, np.ndarray] = field(default_factory=dict)
    most: int | None = None
    parameters: tuple[jax.Array, ...] = field(init=False)
    adapter: str | None = field(init=False)

    def __post_init__(self) -> None:
        backbone = self.programs.backbone
        expected = "one text or its token ids (T,)"
        name = None if self.tokenizer is None else self.tokenizer.token_text
        ids = checked_ids(self.ids, "text", backbone.config.vocabulary_size, expected, name)
        most = backbone.max_length if self.most is None else self.most
        if most is not None:
            remedy = "raise lm.context_length"
            check_length("the text", len(ids), most, backbone.max_length, remedy)
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "parameters", tuple(self.programs.parameters()))
        object.__setattr__(self, "adapter", backbone.adapters.active)

    @held()
    @names_exhaustion("looking into a text")
    def run(self, name: str, size: int, make: Maker, *more: Any, numbers: int = 0) -> Any:
        """What a program gives for this text: `make(programs, size)` is a function of a `Given`
        and `more`, compiled once for each name and size. `numbers`: how many float32
        numbers it makes on its way for each place, beside those of reading.

        Raises:
            MemoryTooSmallError: there is not enough memory for it.
            PromptError: the weights with which the text was read are gone.
        """
        program = self.programs.others(name, size, lambda *made: jax.jit(make(*made)))
        with self._as_read():
            given = self._given()
            self._admit(program.eval_shape(given, *more), given, numbers)
            return jax.block_until_ready(program(given, *more))

    def _admit(self, results: Any, given: Given, numbers: int) -> None:
        """Refuse what would not fit: results of these shapes, on the device and on the host."""
        places = given.ids.shape[1]
        given_back = 2 * sum(part.size for part in jax.tree.leaves(results))
        needed = peaks.WIDE * (given_back + numbers * places)
        admit_reading(self.programs.backbone, places, given.source, needed)

    @property
    def sizes(self) -> Sizes:
        """Of its model."""
        return Sizes.of_backbone(self.programs.backbone)

    @held()
    def outline(self, make: Maker) -> Any:
        """The shapes of what such a program would give, without computing anything."""
        with self._as_read():
            return jax.eval_shape(make(self.programs, 0), self._given())

    def _given(self) -> Given:
        stretched = self.programs.backbone.config.stretches(len(self.ids))
        return Given(self.weights(), *padded((self.ids,)), self.source, stretched)

    def weights(self) -> list[jax.Array]:
        """The weights, for a program.

        Raises:
            PromptError: training has overwritten them since.
        """
        if any(array.is_deleted() for array in self.parameters):
            raise PromptError(CHANGED)
        return list(self.parameters)

    @contextmanager
    def _as_read(self) -> Iterator[None]:
        """While it is entered the layers are those of the weights: a program that is traced with
        another adapter at work has other variables.

        Raises:
            PromptError: the adapter is gone or merged, or the weights have become integers.
        """
        adapters = self.programs.backbone.adapters
        known = self.adapter is None or self.adapter in adapters
        with ExitStack() as stack:
            if not self._fits() and known and not adapters.merged:
                stack.enter_context(adapters.using(self.adapter))
            if not self._fits():
                raise PromptError(CHANGED)
            yield

    def _fits(self) -> bool:
        def kinds(arrays: Iterable[jax.Array]) -> list[Any]:
            return [(array.shape, array.dtype) for array in arrays]

        return kinds(self.programs.parameters()) == kinds(self.parameters)

    def piece(self, token_id: int) -> str:
        """A token by itself, for display; its id where there is no tokenizer."""
        if self.tokenizer is None:
            return f"<{token_id}>"
        return self.tokenizer.token_text(int(token_id))

    @property
    def pieces(self) -> tuple[str, ...]:
        """Every token of the text by itself; the places of a picture are `<image>`."""
        pairs = zip(self.ids, self.pictured, strict=True)
        return tuple("<image>" if image else self.piece(token_id) for token_id, image in pairs)

    @property
    def pictured(self) -> np.ndarray:
        """Which places have a part of a picture in place of a token, bool (T,)."""
        if "image_mask" not in self.source:
            return np.zeros(len(self.ids), bool)
        return np.asarray(self.source["image_mask"][0, : len(self.ids)], bool)
