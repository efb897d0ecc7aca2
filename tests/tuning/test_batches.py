"""Batches follow from the seed and the step: every example once an epoch, none lost in packing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import byte_tokenizer

from workbench.data.batches import Batches, bucket
from workbench.data.examples import Example, Examples
from workbench.data.fields import Fields
from workbench.data.packing import packed
from workbench.data.readers import TextReader
from workbench.errors import SettingError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor

READER = TextReader(CausalLMPreprocessor(byte_tokenizer()), Fields())
SIZES = st.lists(st.integers(2, 41), min_size=1, max_size=30)


def examples_of(sizes, length=40):
    """Examples of these sizes; the tokens say which they are, the first third is not learnt."""
    made = []
    for number, size in enumerate(sizes):
        loss = np.arange(size) >= max(1, size // 3)
        ids = (np.arange(size) * 7 + number * 31) % 256
        made.append(Example(ids.astype(np.int32), loss, where=f"record {number}"))
    return Examples(made, READER, length)


def segments(batch):
    """Each example of a batch as its inputs, labels and weights, row by row."""
    inputs, mask = batch.inputs["token_ids"], batch.inputs["padding_mask"]
    for row in range(len(mask)):
        for number in range(1, mask[row].max() + 1):
            at = mask[row] == number
            assert np.ptp(np.flatnonzero(at)) == at.sum() - 1, "a segment is in one piece"
            yield inputs[row, at], batch.labels[row, at], batch.weights[row, at]


def check_whole(batches, batch, indices):
    """The batch holds these examples, all of their tokens, and nothing else weighs anything."""
    found = list(segments(batch))
    assert len(found) >= len(indices)
    for (ids, labels, weights), index in zip(found, indices, strict=False):
        example = batches.examples[index]
        np.testing.assert_array_equal(ids, example.ids[:-1])
        np.testing.assert_array_equal(labels, example.ids[1:])
        np.testing.assert_array_equal(weights, example.loss[1:])
    assert batch.weights[batch.inputs["padding_mask"] == 0].sum() == 0


@given(SIZES, st.integers(1, 8), st.booleans(), st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_each_epoch_has_every_example_once(sizes, batch_size, packing, seed):
    batches = Batches(examples_of(sizes), batch_size, packing=packing, seed=seed)
    seen, step = [], 0
    while len(seen) < 3 * len(sizes):
        batch = batches.batch(step)
        assert batch.labels.shape[0] == batch_size
        check_whole(batches, batch, batch.indices)
        seen += batch.indices
        step += 1
    for epoch in range(3):
        part = seen[epoch * len(sizes) : (epoch + 1) * len(sizes)]
        assert sorted(part) == list(range(len(sizes)))
    assert batches.batch(batches.per_epoch - 1).indices
    rows = batches.per_epoch * batch_size
    assert len(sizes) <= rows if not packing else rows >= 1


@given(SIZES, st.integers(1, 8), st.booleans(), st.integers(0, 30))
@settings(deadline=None, max_examples=40)
def test_any_step_is_the_same_in_any_order_of_asking(sizes, batch_size, packing, step):
    alone = Batches(examples_of(sizes), batch_size, packing=packing, seed=5).batch(step)
    walked = Batches(examples_of(sizes), batch_size, packing=packing, seed=5)
    for earlier in (*range(step), step + 7, 0):
        walked.batch(earlier)
    again = walked.batch(step)
    assert again.indices == alone.indices
    np.testing.assert_array_equal(again.labels, alone.labels)
    np.testing.assert_array_equal(again.inputs["padding_mask"], alone.inputs["padding_mask"])


@given(SIZES, st.integers(1, 8), st.booleans())
@settings(deadline=None, max_examples=60)
def test_validation_is_every_example_once_in_order(sizes, batch_size, packing):
    batches = Batches(examples_of(sizes), batch_size, packing=packing)
    made = list(batches.validation())
    assert sorted(index for batch in made for index in batch.indices) == list(range(len(sizes)))
    if not packing:
        assert [i for batch in made for i in batch.indices] == list(range(len(sizes)))
    assert sum(batch.tokens for batch in made) == batches.examples.loss_tokens
    assert {batch.labels.shape[0] for batch in made} == {batch_size}
    for batch in made:
        check_whole(batches, batch, batch.indices)
        assert (batch.inputs["padding_mask"].max(axis=1) > 0).all(), "no row is all padding"


@given(st.lists(st.integers(1, 50)), st.integers(50, 60))
def test_packing_loses_nothing_and_fits(sizes, capacity):
    rows = packed(sizes, capacity)
    assert sorted(place for row in rows for place in row) == list(range(len(sizes)))
    assert all(sum(sizes[place] for place in row) <= capacity for row in rows)
    # Two rows that would fit into one are never left.
    filled = sorted(sum(sizes[place] for place in row) for row in rows)
    assert len(rows) < 2 or filled[0] + filled[1] > capacity


def test_packing_refuses_what_is_too_long():
    with pytest.raises(SettingError, match="at most 10 positions, got 11"):
        packed([3, 11], 10)


def test_packing_of_many_is_quick_and_dense():
    sizes = np.random.default_rng(0).integers(5, 200, 50_000).tolist()
    rows = packed(sizes, 256)
    assert sum(sizes) / (256 * len(rows)) > 0.98


def test_epochs_differ_and_seeds_differ():
    examples = examples_of([9] * 20)
    orders = [
        [Batches(examples, 20, seed=seed).batch(step).indices for step in range(2)]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][0] != orders[0][1]


def test_few_lengths_and_little_padding():
    lengths = range(1, 1001)
    made = [bucket(length, 1000) for length in lengths]
    assert sorted(set(made)) == [32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1000]
    assert all(size >= length for size, length in zip(made, lengths, strict=True))
    assert all(
        length > size * 2 / 3 for size, length in zip(made, lengths, strict=True) if size > 32
    )


def test_a_batch_is_as_wide_as_its_longest_needs():
    batches = Batches(examples_of([5, 5, 5, 200], length=300), 4)
    assert batches.batch(0).labels.shape == (4, 256)
    short = Batches(examples_of([5, 5, 5, 200], length=300), 4, length=20)
    assert short.batch(0).labels.shape == (4, 20)
    assert short.examples.cut == 1


def test_a_far_step_comes_at_once():
    batches = Batches(examples_of([9, 12, 15]), 2)
    assert len(batches.batch(10**9).indices) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_size": 0}, "batch_size: expected an integer of at least 1, got 0"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"batch_size": 2, "seed": -1}, "seed"),
        ({"batch_size": 2, "length": 0}, "length"),
        ({"batch_size": True}, "batch_size"),
    ],
)
def test_impossible_settings_are_named(settings, words):
    with pytest.raises(SettingError, match=words):
        Batches(examples_of([5]), **settings)


def test_an_impossible_step_is_named():
    with pytest.raises(SettingError, match="step: expected an integer of at least 0, got -1"):
        Batches(examples_of([5]), 1).batch(-1)
