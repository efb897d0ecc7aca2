"""Computes a model's peak memory, in bytes, from its sizes.

The constants were measured with `tests/bench/memory.py`. Attention is computed, and so counted, one
block of queries at a time, so memory grows with the length and not with its square.
"""

from __future__ import annotations

from workbench.backbones.layers.chunks import WHOLE, at_once
from workbench.estimates.sizes import ImageSizes, Sizes

IMPORTS = 270e6  # the interpreter, Keras and JAX
PROCESS = 450e6  # these, and XLA while it compiles
WIDE = 4  # bytes of numbers that are float32 in any dtype: scores and logits


def cached(sizes: Sizes, computed: int, rows: int, slots: int) -> int:
    """Return the bytes of every layer's keys and values, including those of an encoder."""
    slots *= 2 if sizes.encoder else 1
    return sizes.layers * 2 * sizes.kv_heads * sizes.head_dim * slots * rows * computed


def attending(heads: int, rows: int, queries: int, slots: int) -> int:
    """Return the bytes of the scores of one block of queries, twice, and their distances."""
    return 2 * rows * (heads + 1) * at_once(queries) * slots * WIDE


def reading(sizes: Sizes, computed: int, rows: int, length: int) -> int:
    """Return the bytes of one layer's activations while sequences are read."""
    attention = (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim
    each = attention + 3 * sizes.inner + 3 * sizes.width
    return attending(sizes.heads, rows, length, length) + rows * length * each * computed


def generating(sizes: Sizes, computed: int, rows: int, prompt: int, slots: int) -> int:
    """Return the bytes to read prompts: one layer's activations, the cache while it is filled and
    extended to `slots`, and the logits of a token."""
    logits = 6 * rows * sizes.vocabulary * WIDE
    copies = 2 * cached(sizes, computed, rows, slots)
    decoder = reading(sizes, computed, rows, prompt) + logits + copies
    return max(decoder, seeing(sizes.images, computed, rows))


def seeing(images: ImageSizes | None, computed: int, pictures: int) -> int:
    """Return the bytes of one layer of the image encoder, which runs before the decoder."""
    if images is None:
        return 0
    scores = attending(images.heads, pictures, images.patches, images.patches)
    return scores + pictures * images.patches * (3 * images.inner + 6 * images.width) * computed


def training(sizes: Sizes, computed: int, rows: int, length: int) -> int:
    """Return the bytes of a backward pass: every layer's activations, and the logits four times."""
    tokens = rows * length
    attention = 2 * (sizes.heads + sizes.kv_heads) * sizes.head_dim
    each = attention + 4 * sizes.inner + 6 * sizes.width
    layers = sizes.layers * tokens * each * computed
    scores = 2 * scores_kept(sizes.layers, sizes.heads, rows, length)
    images = sizes.images
    pictures = 0 if images is None else images.layers * seeing(images, computed, rows)
    return layers + scores + 4 * tokens * sizes.vocabulary * WIDE + pictures


def scores_kept(layers: int, heads: int, rows: int, length: int) -> int:
    """Return the number of scores kept for the backward pass: for short rows those of every layer,
    for long ones a block of one layer, which is recomputed."""
    if length <= WHOLE:
        return layers * rows * heads * length**2 * WIDE
    return 2 * attending(heads, rows, length, length)
