"""Several texts in a row, told apart by the numbers of the padding mask."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from tiny import tiny_backbone

from workbench.backbones.layers.packing import text_positions
from workbench.models import BloomBackbone


def bloom():
    return BloomBackbone(
        vocabulary_size=257, num_layers=2, num_heads=4, hidden_dim=32, intermediate_dim=64
    )


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "bloom"])
def test_a_text_in_a_packed_row_is_read_as_if_it_stood_alone(family):
    backbone = bloom() if family == "bloom" else tiny_backbone(family)
    read = jax.jit(lambda ids, mask: backbone({"token_ids": ids, "padding_mask": mask}))
    random = np.random.default_rng(0)
    ids = random.integers(0, 257, (2, 16))
    masks = np.array([[1] * 5 + [2] * 7 + [3] * 3 + [0], [1] * 9 + [2] * 4 + [0] * 3])
    packed = np.asarray(read(ids, masks))
    for row, mask in enumerate(masks):
        for text in range(1, mask.max() + 1):
            alone = np.zeros((2, 16), int)
            real = np.zeros((2, 16), int)
            length = (mask == text).sum()
            alone[0, :length], real[0, :length] = ids[row][mask == text], 1
            found = np.asarray(read(alone, real))[0, :length]
            np.testing.assert_allclose(packed[row][mask == text], found, atol=1e-5)


def test_positions_begin_anew_with_each_text():
    mask = np.array([[1, 1, 2, 2, 2, 3, 0, 0], [1] * 8])
    expected = [[0, 1, 0, 1, 2, 0, 1, 2], list(range(8))]
    assert np.array_equal(text_positions(mask), expected)
