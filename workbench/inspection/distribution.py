"""The distribution of the next token, and what a sampler's settings keep of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from workbench.samplers import TopPSampler

LISTED = 512
BIN = 0.25  # of a logit


@dataclass(frozen=True, eq=False)
class Distribution:
    """What a model expects at one place: its likeliest tokens one by one, the others in bins.

    A bin stands for its tokens with their mean logit: at temperature 1 that takes at most 0.8 % of
    a bin's mass away, at temperature 0.25 at most 12 %.

    Attributes:
        ids: int32 (N,), the likeliest first, of equals the lowest id first. N is 512, or the
            vocabulary where that is smaller.
        logits: float32 (N,), shifted so that the largest is 0.
        rest_logits: float32 (M,), the mean logit of the tokens in each bin, falling.
        rest_counts: int32 (M,), how many tokens are in it.
    """

    ids: np.ndarray
    logits: np.ndarray
    rest_logits: np.ndarray
    rest_counts: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray) -> Self:
        """Of the logits of a whole vocabulary, float32 (V,), finite or minus infinity."""
        edge = np.partition(logits, -LISTED)[-LISTED] if len(logits) > LISTED else -np.inf
        likely = np.flatnonzero(logits >= edge)  # 512, or more that are as likely as the last
        order = likely[np.argsort(-logits[likely], kind="stable")][:LISTED]
        shifted = logits - logits[order[0]]
        rest = np.delete(shifted, order)
        return cls(order.astype(np.int32), shifted[order], *_binned(rest[np.isfinite(rest)]))

    def shares(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
    ) -> np.ndarray:
        """The probability with which a sampler of these settings draws each listed token.

        The settings are those of the samplers, cut in their order: temperature, top-k, top-p of
        what is left, min-p. None leaves a cut out.

        Returns:
            float64 (N,), 0 where a token is cut. The sum is 1, but for what is kept of the rest.

        Raises:
            SettingError: a setting is impossible.
        """
        mass, kept = self._cut(temperature, top_k, top_p, min_p)
        shares = mass[: len(self.ids)] / _mass_of(kept, mass, self._counts)
        return np.where(np.arange(len(shares)) < kept, shares, 0.0)

    def kept(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
    ) -> int:
        """How many tokens the settings of `shares` leave; nearly, where it is more than N."""
        return self._cut(temperature, top_k, top_p, min_p)[1]

    @property
    def _counts(self) -> np.ndarray:
        return np.concatenate([np.ones(len(self.ids), np.int64), self.rest_counts])

    def _cut(
        self, temperature: float, top_k: int | None, top_p: float | None, min_p: float | None
    ) -> tuple[np.ndarray, int]:
        """The mass of a token of every entry, the listed ones and then the bins, and how many
        tokens of that order stay: whatever a sampler keeps is a leading part of it."""
        checked = TopPSampler(
            p=1.0 if top_p is None else top_p,
            k=top_k,
            temperature=temperature,
            min_p=min_p or 0.0,
        ).settings()
        heat, keep = np.float32(checked.temperature), int(checked.top_k)
        share, least = np.float32(checked.top_p), np.float32(checked.min_p)
        logits, counts = np.concatenate([self.logits, self.rest_logits]), self._counts
        if heat < np.finfo(np.float32).tiny:
            return (np.arange(len(logits)) < 1).astype(np.float64), 1
        scaled = logits.astype(np.float64) / heat
        mass, kept = np.exp(scaled), int(counts.sum())
        if keep > 0:
            kept = min(kept, keep)
        if share < 1:
            kept = _reaching(float(share * _mass_of(kept, mass, counts)), mass, counts)
        if least > 0:
            kept = min(kept, int(counts[scaled >= np.log(least)].sum()))
        return mass, kept


def _binned(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean logit float32 and the number int32 of those in each bin that has any, falling."""
    bins = np.floor(-logits / BIN).astype(np.int64)
    counts = np.bincount(bins)
    sums = np.bincount(bins, weights=logits)
    there = counts > 0
    return (sums[there] / counts[there]).astype(np.float32), counts[there].astype(np.int32)


def _mass_of(kept: int, mass: np.ndarray, counts: np.ndarray) -> float:
    """The mass of that many leading tokens."""
    before = np.cumsum(counts) - counts
    return float(np.sum(mass * np.clip(kept - before, 0, counts)))


def _reaching(target: float, mass: np.ndarray, counts: np.ndarray) -> int:
    """The fewest leading tokens whose mass reaches the target; at least one."""
    reached = np.cumsum(mass * counts)
    entry = min(int(np.searchsorted(reached, target)), len(mass) - 1)
    missing = target - (reached[entry] - mass[entry] * counts[entry])
    inside = int(np.clip(np.ceil(missing / max(mass[entry], 1e-300)), 1, counts[entry]))
    return int(counts[:entry].sum()) + inside
