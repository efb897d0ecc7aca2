"""Low-rank updates in their smallest rank, and in KerasHub's factorisation.

A KerasHub kernel with a last axis k has the update A B with A (..., rank) and B (rank, k). For
queries of several heads, (inputs, heads, head_dim), all heads share B: KerasHub's rank r becomes a
rank of up to heads * r in one matrix from inputs to outputs, and a matrix of rank R needs a rank of
up to heads * R in KerasHub. All functions work on the factors, in float64; singular values below
the rounding error of float32 count as zero.
"""

from __future__ import annotations

import numpy as np

from workbench.backbones.adapter import LowRank

_ROUNDING = 4 * 2.0**-23
_SMALL = 512  # with more rows, singular values are not computed of the whole matrix
_SKETCHES = (32, 128)


def scaled(update: LowRank) -> LowRank:
    """Return the same update with its scale multiplied into B."""
    if update.scale == 1:
        return update
    return LowRank(update.a, np.float32(update.scale) * update.b)


def reduced(update: LowRank) -> LowRank:
    """Reduce the update to as many rows as its rank; return it unchanged if it is zero or
    minimal."""
    outer, left = np.linalg.qr(update.b.astype(np.float64))
    inner, right = np.linalg.qr(update.a.astype(np.float64).T)
    u, s, v = np.linalg.svd(left @ right.T, full_matrices=False)
    rank = _rank(s)
    if rank in (0, update.rank):
        return update
    return LowRank(*_single(v[:rank] @ inner.T, outer @ (u[:, :rank] * s[:rank])), update.scale)


def from_heads(a: np.ndarray, b: np.ndarray) -> LowRank:
    """Convert an update whose B all heads share to an update of the whole projection.

    Args:
        a: (heads, rank, inputs).
        b: (rank, head_dim).

    Returns:
        The update of the matrix (heads * head_dim, inputs). If its rank is heads * rank, the
        numbers are the given ones; if it is lower, the update has as many rows as its rank. Above
        512 rows, only ranks up to 128 are looked for.
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
    """Return a (heads, rank, inputs) and b (rank, head_dim) of the smallest rank: the inverse of
    `from_heads`, bit for bit if `from_heads` kept the given numbers."""
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
    """Return the shared factors if B has the same block for each head and zeros elsewhere."""
    rank, rest = divmod(update.rank, heads)
    if rest or not rank:
        return None
    block = update.b[: len(update.b) // heads, :rank]
    if not np.array_equal(update.b, _beside(block, heads)):
        return None
    return update.a.reshape(heads, rank, -1), block.T


def _beside(block: np.ndarray, heads: int) -> np.ndarray:
    """Return a matrix with this block on its diagonal once for each head."""
    return np.kron(np.eye(heads, dtype=np.float32), block.astype(np.float32))


def _row_space(matrix: np.ndarray) -> np.ndarray | None:
    """Return an orthonormal basis (rows, rank) of the column space of a matrix; None if it has too
    many rows to tell.

    With many rows, use random sums of the columns (Halko et al. 2011, section 4.1).
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


def _single(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(a, np.float32), np.ascontiguousarray(b, np.float32)
