"""An adapter as a value: low-rank updates of projections, by the projections' names.

Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685): a frozen matrix W of a model is read as
W + scale * B A, and only the small matrices A and B are trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from workbench.errors import SettingError, shown
from workbench.kinds import NOTHING, NUMBER, RATE, integer, plain
from workbench.memory.door import admit

QUERY_AND_VALUE = ("query", "value")
_KINDS = {"rank": integer(1), "alpha": NUMBER | NOTHING, "dropout": RATE}


class LowRank(NamedTuple):
    """The update of one projection, float32: a (rank, inputs), b (outputs, rank). The axes of the
    projection's kernel, outputs first, are merged in their order."""

    a: np.ndarray
    b: np.ndarray
    scale: float = 1.0

    @classmethod
    def fresh(
        cls, shape: tuple[int, int], config: AdapterConfig, random: np.random.Generator
    ) -> LowRank:
        """One that changes nothing yet, for a matrix of this shape, (outputs, inputs)."""
        outputs, inputs = shape
        bound = 1 / math.sqrt(inputs)
        a = random.uniform(-bound, bound, (config.rank, inputs)).astype(np.float32)
        return cls(a, np.zeros((outputs, config.rank), np.float32), config.scale)

    @property
    def rank(self) -> int:
        """How many rows `a` has."""
        return self.a.shape[0]

    @property
    def delta(self) -> np.ndarray:
        """What is added to the matrix, float32 (outputs, inputs)."""
        return np.float32(self.scale) * (self.b @ self.a)


@dataclass(frozen=True)
class AdapterConfig:
    """How an adapter is made.

    Attributes:
        rank: rows of A, at least 1.
        alpha: the update is scaled by alpha / rank; None takes the rank, and scales by 1.
        dropout: the share of a projection's inputs that its update does not see in training.
        targets: names of the projections that get an update, in every layer that has them.

    Raises:
        SettingError: a value is of the wrong kind or out of range.
    """

    rank: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    targets: tuple[str, ...] = QUERY_AND_VALUE

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            kind.check(name, getattr(self, name))
            object.__setattr__(self, name, plain(getattr(self, name)))  # a file is to hold it
        if isinstance(self.targets, str) or not self.targets:
            raise SettingError(f"targets: expected names of projections, got {shown(self.targets)}")
        object.__setattr__(self, "targets", tuple(self.targets))

    @property
    def scale(self) -> float:
        """alpha / rank."""
        return 1.0 if self.alpha is None else self.alpha / self.rank


@dataclass(frozen=True)
class Adapter:
    """Low-rank updates for some projections of a backbone.

    Attributes:
        config: how it was made.
        updates: by the path of the projection in the backbone, such as
            `decoder_block_0/attention/query`, whose kernel is the variable `<path>/kernel`.
        base: the handle of the preset that it was trained on, where known.
    """

    config: AdapterConfig
    updates: Mapping[str, LowRank] = field(repr=False)
    base: str | None = None

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(u.a.shape) + math.prod(u.b.shape) for u in self.updates.values())


def admit_adapter(rank: int, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Refuse a new adapter that would not fit into the memory: the active one is on the device as
    well, and the random numbers of an update are float64 first.

    Args:
        rank: of the adapter.
        shapes: (outputs, inputs) of the projections it updates, by their paths.

    Raises:
        MemoryTooSmallError: it would not.
    """
    ends = [sum(shape) for shape in shapes.values()]
    needed = rank * (2 * 4 * sum(ends) + 8 * max(ends))
    admit(f"an adapter of rank {rank}", needed, "Take a lower rank, or fewer targets.")
