"""How a block joins its two branches to the stream, as values; `block.py` draws them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sequential:
    """A block whose feed-forward branch reads what the attention branch has made."""


@dataclass(frozen=True)
class Parallel:
    """A block whose two branches read the same input (Wang and Komatsuzaki 2021), through one
    norm or through a norm each."""

    shared_norm: bool = True


@dataclass(frozen=True)
class PostNorm:
    """A sequential block that norms the stream after each branch is added (Vaswani et al. 2017)
    instead of what the branch reads. No norm follows the last block."""


@dataclass(frozen=True)
class BranchNorm:
    """A sequential block that norms what each branch gives, before it is added, and nothing that a
    branch reads (OLMo 2; Walsh et al. 2024)."""
