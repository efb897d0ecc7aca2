"""The subject of an inspection: one text as the model reads it, and the weights that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic

import jax
import numpy as np

from workbench.backbones.observing import Seen, observing
from workbench.errors import PromptError
from workbench.estimates import peaks
from workbench.estimates.sizes import Sizes
from workbench.generation.lengths import check_length
from workbench.generation.memory import admit_reading
from workbench.generation.programs import AnyArray, Programs, Source, padded
from workbench.generation.request import checked_ids
from workbench.interrupts import held
from workbench.memory.door import names_exhaustion
from workbench.tokenizers import Tokenizer

CHANGED = "The model has been trained or changed since it read this text: read it again"


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Given(Generic[AnyArray]):
    """A program's inputs for a text: weights; ids int32 (1, P), padded to a compiled length; their
    number int32 (1,); the backbone's other inputs; and whether longrope's long factors are
    needed."""

    parameters: list[jax.Array]
    ids: AnyArray
    lengths: AnyArray
    source: Source
    stretched: bool = field(metadata={"static": True})

    @contextmanager
    def read(
        self: Given[jax.Array], programs: Programs, *names: str
    ) -> Iterator[tuple[jax.Array, Seen]]:
        """Give the hidden states (1, P, width), and the layers' arrays of these names. Inside the
        block, the backbone holds the weights."""
        with programs.holding(self.parameters), observing(*names) as seen:
            hidden, _ = programs.backbone.read(
                self.ids, self.lengths, self.stretched, **self.source
            )
            yield hidden, seen


Maker = Callable[[Programs, int], Callable[..., Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """One text of T tokens and the model that reads it.

    Attributes:
        programs: the model's programs.
        tokenizer: the tokenizer; None for a model that is fed ids.
        ids: int32 (T,).
        source: the backbone's other inputs, as in a request with this text alone.
        most: limit of tokens; None for the model's positions.
        parameters: the backbone's arrays at the time of reading, so that later adapters or
            training do not change the results.
        adapter: the name of the adapter that was active then.
    """

    programs: Programs
    tokenizer: Tokenizer | None
    ids: np.ndarray
    source: Source = field(default_factory=dict)
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
        """Run a program on this text and return its results. `make(programs, size)` returns a
        function of a `Given` and `more`, compiled once for each name and size. `numbers`: float32
        intermediate values of the program per place, besides those of reading.

        Raises:
            MemoryTooSmallError: there is not enough memory for the program.
            PromptError: the weights that read the text are gone.
        """
        program = self.programs.others(name, size, lambda *made: jax.jit(make(*made)))
        with self._as_read():
            given = self._given()
            self._admit(program.eval_shape(given, *more), given, numbers)
            return jax.block_until_ready(program(given, *more))

    def _admit(self, results: Any, given: Given, numbers: int) -> None:
        """Refuse a program if its results, on the device and on the host, would not fit."""
        places = given.ids.shape[1]
        given_back = 2 * sum(part.size for part in jax.tree.leaves(results))
        needed = peaks.WIDE * (given_back + numbers * places)
        admit_reading(self.programs.backbone, places, given.source, needed)

    @property
    def sizes(self) -> Sizes:
        """The sizes of the model."""
        return Sizes.of_backbone(self.programs.backbone)

    @held()
    def outline(self, make: Maker) -> Any:
        """Return the shapes of a program's results, without computing them."""
        with self._as_read():
            return jax.eval_shape(make(self.programs, 0), self._given())

    def _given(self) -> Given:
        stretched = self.programs.backbone.config.stretches(len(self.ids))
        return Given(self.weights(), *padded((self.ids,)), self.source, stretched)

    def weights(self) -> list[jax.Array]:
        """Return the weights, for a program.

        Raises:
            PromptError: training has overwritten the weights since.
        """
        if any(array.is_deleted() for array in self.parameters):
            raise PromptError(CHANGED)
        return list(self.parameters)

    @contextmanager
    def _as_read(self) -> Iterator[None]:
        """Activate, inside the block, the adapter that read the text: with another one, a traced
        program would have other variables.

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
        """Return a single token's text, for display; its id if there is no tokenizer."""
        if self.tokenizer is None:
            return f"<{token_id}>"
        return self.tokenizer.token_text(int(token_id))

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text of each token; `<image>` at the places of a picture."""
        pairs = zip(self.ids, self.pictured, strict=True)
        return tuple("<image>" if image else self.piece(token_id) for token_id, image in pairs)

    @property
    def pictured(self) -> np.ndarray:
        """Whether each place holds a part of a picture instead of a token, bool (T,)."""
        if "image_mask" not in self.source:
            return np.zeros(len(self.ids), bool)
        return np.asarray(self.source["image_mask"][0, : len(self.ids)], bool)
