"""Packed rows teach what rows apart teach: the loss of every token is the same."""

from __future__ import annotations

import jax
import numpy as np

from workbench.data.batches import Batches
from workbench.data.reading import read_examples

TEXTS = ["x" * 60, ("who", " is it"), "a kite", "down by the river", ("ask", " me"), "y" * 55]
# Of the texts above these numbers of tokens are learnt: the end token is one, a prompt none.
LEARNT = 61 + 7 + 7 + 18 + 4 + 56


def test_packed_rows_have_the_loss_of_rows_apart(tiny_lm):
    examples = read_examples(TEXTS, tiny_lm)

    @jax.jit
    def loss(inputs, labels, weights):
        chances = jax.nn.log_softmax(tiny_lm(inputs))
        own = jax.numpy.take_along_axis(chances, labels[..., None], axis=-1)[..., 0]
        return -(own * weights).sum()

    sums, tokens, rows = [], [], []
    for packing in (False, True):
        batches = list(Batches(examples, 3, packing=packing).validation())
        assert {batch.labels.shape for batch in batches} == {(3, 64)}
        sums.append(sum(float(loss(b.inputs, b.labels, b.weights)) for b in batches))
        tokens.append(sum(batch.tokens for batch in batches))
        rows.append(len(batches))
    assert tokens == [LEARNT, LEARNT]
    assert rows == [2, 1], "what was packed takes half the rows"
    np.testing.assert_allclose(sums[1], sums[0], rtol=1e-5)
