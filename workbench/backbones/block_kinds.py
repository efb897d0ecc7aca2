"""How a block joins its two branches to the residual stream, as values; `block.py` builds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sequential:
    """A block whose feed-forward branch reads the output of its attention branch."""


@dataclass(frozen=True)
class Parallel:
    """A block whose two branches read the same input (Wang and Komatsuzaki 2021), through a
    shared norm or one norm each."""

    shared_norm: bool = True


@dataclass(frozen=True)
class PostNorm:
    """A sequential block that norms the stream after adding each branch (Vaswani et al. 2017), not
    the branch's input. No norm follows the last block."""


@dataclass(frozen=True)
class BranchNorm:
    """A sequential block that norms the output of each branch before adding it, and not the
    branch's input (OLMo 2; Walsh et al. 2024)."""
