"""The branches of a text: where each one leaves its parent, and its own tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.errors import SettingError

MAX_BRANCHES = 64
MAX_WORD = 80  # characters of a token in the tree


@dataclass(eq=False)
class Branch:
    """A text: the panel's own, or one that leaves its parent at a place.

    Attributes:
        number: its unique number, from 1.
        parent: the branch it leaves; None for the panel's own text.
        place: the place of its first own token.
        word: that token as text.
        ids: the T token ids from the beginning of the text; empty until it is read.
        pieces: the text of each token.
        logprobs: natural log-probability of each token; NaN if unknown, as for the first.
        inspection: the model's `Inspection` of it; None while it is written, and after it was
            dropped to free memory.
    """

    number: int
    parent: Branch | None = None
    place: int = 0
    word: str = ""
    ids: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    inspection: Any = None

    @property
    def text(self) -> str:
        """Its tokens joined as displayed."""
        return "".join(self.pieces)

    @property
    def length(self) -> int:
        """The number of its own tokens."""
        return len(self.pieces) - self.place

    @property
    def logprob(self) -> float:
        """The natural log-probability of its own tokens, given those before."""
        return float(np.nansum(self.logprobs[self.place :]))

    @property
    def depth(self) -> int:
        """The number of branches between it and the panel's own text."""
        return 0 if self.parent is None else self.parent.depth + 1

    def __repr__(self) -> str:
        where = "text" if self.parent is None else f"{self.word!r} at {self.place}"
        return f"Branch({self.number}, {where}, {self.length} tokens, {self.logprob:.2f})"

    @property
    def entry(self) -> dict[str, Any]:
        """Its line in the tree of the page."""
        return {
            "number": self.number,
            "parent": None if self.parent is None else self.parent.number,
            "place": self.place,
            "word": self.word[:MAX_WORD],
            "tokens": self.length,
            "logprob": round(self.logprob, 2),
        }

    def take(self, inspection: Any) -> None:
        """Take over the inspection of the branch."""
        self.inspection = inspection
        self.ids = inspection.ids.tolist()
        self.pieces = list(inspection.pieces)
        self.logprobs = inspection.logprobs[: len(self.ids)].tolist()

    def extend(self, token_id: int, piece: str, logprob: float) -> None:
        """Add a generated token."""
        self.ids.append(token_id)
        self.logprobs.append(logprob)
        self.pieces.append(piece)  # last, so that a token with a piece has everything else

    def source(self, place: int) -> Any:
        """Return the inspection with the distribution at a place: its own or, up to the place
        where it leaves its parent, its parent's. None if there is none."""
        if self.inspection is not None or self.parent is None or place > self.place:
            return self.inspection
        return self.parent.source(place)


class Tree:
    """The panel's text with its branches, in the order on the page: a branch comes under its
    parent, after the parent's earlier branches."""

    def __init__(self) -> None:
        self._branches: dict[int, Branch] = {}
        self._number = 0

    def __iter__(self) -> Iterator[Branch]:
        return self._below(None)

    def __len__(self) -> int:
        return len(self._branches)

    def plant(self) -> Branch:
        """Replace everything by a new text, and return its branch."""
        self._branches = {}
        return self._add(Branch(self._next()))

    def grow(self, parent: Branch, place: int, token_id: int, piece: str) -> Branch:
        """Add a branch that leaves its parent at a place with a token. If the parent has no own
        token before that place, the branch leaves the parent's parent.

        Raises:
            SettingError: there are too many branches.
        """
        if len(self) >= MAX_BRANCHES:
            raise SettingError(
                f"there are {MAX_BRANCHES} branches, which is the most: delete one, then branch"
            )
        while parent.parent is not None and place <= parent.place:
            parent = parent.parent
        branch = Branch(self._next(), parent, place, piece)
        branch.ids, branch.pieces = parent.ids[:place], parent.pieces[:place]
        branch.logprobs = parent.logprobs[:place]
        branch.extend(token_id, piece, math.nan)
        return self._add(branch)

    def find(self, number: object) -> Branch:
        """Return the branch with that number, or raise a SettingError."""
        found = self._branches.get(number) if type(number) is int else None
        if found is None:
            raise SettingError(f"there is no branch {str(number)[:20]}")
        return found

    def cut(self, branch: Branch) -> None:
        """Delete a branch and all that leave it.

        Raises:
            SettingError: it is the panel's own text.
        """
        if branch.parent is None:
            raise SettingError("the text itself is no branch: read another text instead")
        for below in list(self._below(branch)):
            del self._branches[below.number]
        del self._branches[branch.number]

    def holds(self, branch: Branch) -> bool:
        """Return whether the branch is in this tree."""
        return self._branches.get(branch.number) is branch

    def entries(self) -> list[dict[str, Any]]:
        """Return a line per branch, for the page."""
        return [branch.entry for branch in self]

    def _add(self, branch: Branch) -> Branch:
        self._branches[branch.number] = branch
        return branch

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _below(self, parent: Branch | None) -> Iterator[Branch]:
        for branch in list(self._branches.values()):
            if branch.parent is parent:
                yield branch
                yield from self._below(branch)
