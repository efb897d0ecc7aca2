"""The distribution of the next token, and the part of it that a sampler's settings keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from workbench.samplers.settings import CUTS, SETTINGS
from workbench.samplers.step_settings import scalar_of

LISTED = 512
BIN = 0.25  # width of a bin, in logits


@dataclass(frozen=True, eq=False)
class Distribution:
    """A model's prediction at one place: its likeliest tokens one by one, the others in bins.

    A bin stores the mean logit of its tokens. This loses at most 0.8 % of a bin's mass at
    temperature 1, and at most 12 % at temperature 0.25.

    Attributes:
        ids: int32 (N,), the likeliest first, equal ones by ascending id. N is 512, or the size of
            the vocabulary if that is smaller.
        logits: float32 (N,), shifted so that the largest is 0.
        rest_logits: float32 (M,), the mean logit of the tokens in each bin, descending.
        rest_counts: int32 (M,), the number of tokens in each bin.
    """

    ids: np.ndarray
    logits: np.ndarray
    rest_logits: np.ndarray
    rest_counts: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray) -> Self:
        """Build from the logits of the whole vocabulary, float32 (V,), finite or minus infinity."""
        edge = np.partition(logits, -LISTED)[-LISTED] if len(logits) > LISTED else -np.inf
        likely = np.flatnonzero(logits >= edge)  # 512, or more if several equal the last
        order = likely[np.argsort(-logits[likely], kind="stable")][:LISTED]
        with np.errstate(over="ignore"):  # an overflow means an impossible token
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
        """Return the probability with which a sampler with these settings draws each listed token.

        The cuts apply in the samplers' order: temperature, top-k, top-p of the remaining tokens,
        min-p. None leaves a cut out.

        Returns:
            float64 (N,), 0 for a token that is cut. The sum is 1, less the share of the kept tokens
            in bins.

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
        """Return how many tokens the settings of `shares` keep; approximate above N."""
        return self._cut(temperature, top_k, top_p, min_p)[1]

    @property
    def _counts(self) -> np.ndarray:
        return np.concatenate([np.ones(len(self.ids), np.int64), self.rest_counts])

    def _cut(self, *given: float | None) -> tuple[np.ndarray, int]:
        """Return the mass of one token in each entry (the listed tokens, then the bins), and how
        many leading tokens in that order the cuts `given`, in the order of `CUTS`, keep.

        `samplers.choose.kept` does the same for whole rows on the device. It is not used here
        because it compiles for seconds for each new vocabulary size and takes 5 to 12 ms per call;
        this takes less than one.
        """
        temperature, top_k, top_p, min_p = map(_checked, CUTS, given)
        logits, counts = np.concatenate([self.logits, self.rest_logits]), self._counts
        if temperature < np.finfo(np.float32).tiny:
            return (np.arange(len(logits)) < 1).astype(np.float64), 1
        scaled = logits.astype(np.float64) / temperature
        mass, kept = np.exp(scaled), int(counts.sum())
        if top_k > 0:
            kept = min(kept, int(top_k))
        if top_p < 1:
            kept = _reaching(top_p * _mass_of(kept, mass, counts), mass, counts)
        if min_p > 0:
            kept = min(kept, int(counts[scaled >= np.log(min_p)].sum()))
        return mass, kept


def _checked(name: str, value: float | None) -> float:
    """Return a cut's value, rounded as in the sampler's step; None turns the cut off if it can."""
    setting = SETTINGS[name]
    if value is None and setting.off is not None:
        return setting.off
    return np.asarray(scalar_of(name, setting.check(value, f"shares: {name}"))).item()


def _binned(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean logit float32 and the token count int32 of each bin that is not empty, by
    descending logit."""
    bins = np.floor(-logits / BIN).astype(np.int64)
    counts = np.bincount(bins)
    sums = np.bincount(bins, weights=logits)
    there = counts > 0
    return (sums[there] / counts[there]).astype(np.float32), counts[there].astype(np.int32)


def _mass_of(kept: int, mass: np.ndarray, counts: np.ndarray) -> float:
    """Return the mass of the first `kept` tokens."""
    before = np.cumsum(counts) - counts
    return float(np.sum(mass * np.clip(kept - before, 0, counts)))


def _reaching(target: float, mass: np.ndarray, counts: np.ndarray) -> int:
    """Return the smallest number of leading tokens whose mass reaches the target; at least 1."""
    reached = np.cumsum(mass * counts)
    entry = min(int(np.searchsorted(reached, target)), len(mass) - 1)
    missing = target - (reached[entry] - mass[entry] * counts[entry])
    inside = int(np.clip(np.ceil(missing / max(mass[entry], 1e-300)), 1, counts[entry]))
    return int(counts[:entry].sum()) + inside
