"""Low-rank updates in the fewest numbers, and as KerasHub factorises them.

A kernel of KerasHub's with a last axis k has the update A B with A (..., rank) and B (rank, k).
For the queries of several heads, (inputs, heads, head_dim), all heads share B: an update of rank r
has a rank of up to heads * r as one matrix from inputs to outputs, and one of rank R there needs a
rank of up to heads * R here. All work is on the factors, in float64; numbers below the rounding of
float32 do not count for a rank.
"""

from __future__ import annotations

import numpy as np

from workbench.backbones.adapter import LowRank

_ROUNDING = 4 * 2.0**-23
_SMALL = 512  # rows up to which singular values are computed of the whole
_SKETCHES = (32, 128)


def scaled(update: LowRank) -> LowRank:
    """The same update with its scale in B."""
    if update.scale == 1:
        return update
    return LowRank(update.a, np.float32(update.scale) * update.b)


def reduced(update: LowRank) -> LowRank:
    """The update in as few rows as it has rank; as it is where it has that, or is zero."""
    outer, left = np.linalg.qr(update.b.astype(np.float64))
    inner, right = np.linalg.qr(update.a.astype(np.float64).T)
    u, s, v = np.linalg.svd(left @ right.T, full_matrices=False)
    rank = _rank(s)
    if rank in (0, update.rank):
        return update
    return LowRank(*_single(v[:rank] @ inner.T, outer @ (u[:, :rank] * s[:rank])), update.scale)


def from_heads(a: np.ndarray, b: np.ndarray) -> LowRank:
    """One update from the one all heads share.

    Args:
        a: (heads, rank, inputs).
        b: (rank, head_dim).

    Returns:
        The update of the matrix (heads * head_dim, inputs). Where that has the rank heads * rank,
        its numbers are those given; of one with less, as many rows as it has rank. Of more than
        512 rows, a rank above 128 is not looked for.
    """
    heads, rank, inputs = a.shape
    left, right = np.linalg.qr(b.astype(np.float64).T)
    mixed = (right @ a.astype(np.float64)).reshape(-1, inputs)
    base = _row_space(mixed)
    if base is None or base.shape[1] in (0, heads * rank):
        return LowRank(a.reshape(-1, inputs), _beside(b.T, heads))
    b_joint = left @ base.reshape(heads, -1, base.shape[1])
    return LowRank(*_single(base.T @ mixed, b_joint.reshape(-1, base.shape[1])))


def to_heads(update: LowRank, heads: int) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `from_heads`, in the smallest rank: a (heads, rank, inputs) and b (rank,
    head_dim). Bit for bit what `from_heads` was given, where it kept it."""
    shared = _shared(update, heads)
    if shared is not None:
        return shared
    a, b = (part.astype(np.float64) for part in (update.a, update.b))
    inner, right = np.linalg.qr(a.T)
    width = len(b) // heads
    split = b.reshape(heads * width, -1)
    mixed = (right @ split.T).reshape(-1, width)
    u, s, v = np.linalg.svd(mixed, full_matrices=False)
    rank = max(1, _rank(s))
    sums = (u[:, :rank] * s[:rank]).reshape(-1, heads, rank)
    return _single(sums.transpose(1, 2, 0) @ inner.T, v[:rank])


def _shared(update: LowRank, heads: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The factors all heads share, where B is the same block for each head and zero beside."""
    rank, rest = divmod(update.rank, heads)
    if rest or not rank:
        return None
    block = update.b[: len(update.b) // heads, :rank]
    if not np.array_equal(update.b, _beside(block, heads)):
        return None
    return update.a.reshape(heads, rank, -1), block.T


def _beside(block: np.ndarray, heads: int) -> np.ndarray:
    """A matrix with this block on its diagonal once for each head."""
    return np.kron(np.eye(heads, dtype=np.float32), block.astype(np.float32))


def _row_space(matrix: np.ndarray) -> np.ndarray | None:
    """Orthonormal columns (rows, rank) that the columns of a matrix are sums of; None where there
    are too many rows to say.

    Of many rows, from sums of the columns with random weights (Halko et al. 2011, section 4.1).
    """
    if len(matrix) <= _SMALL:
        return _base(matrix)
    random = np.random.default_rng(0)
    for count in _SKETCHES:
        base = _base(matrix @ random.standard_normal((matrix.shape[1], count)))
        if base.shape[1] < count:
            return base
    return None


def _base(matrix: np.ndarray) -> np.ndarray:
    u, s, _ = np.linalg.svd(matrix, full_matrices=False)
    return u[:, : _rank(s)]


def _rank(singular: np.ndarray) -> int:
    return int((singular > _ROUNDING * singular[:1]).sum())


def _single(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.ascontiguousarray(part, np.float32) for part in parts)
