"""Long recordings are cut where it is quiet."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.audio import SampleRange, cut_at_pauses

RATE = 1_000


def talk(seconds, *pauses):
    """Noise with silence from and to these seconds."""
    samples = np.random.default_rng(0).normal(size=int(seconds * RATE)).astype("f4")
    for start, stop in pauses:
        samples[int(start * RATE) : int(stop * RATE)] = 0
    return samples


def test_a_short_recording_is_one_piece():
    assert cut_at_pauses(talk(30), RATE) == [SampleRange(0, 30 * RATE)]


def test_the_cut_is_in_the_middle_of_the_pause():
    first, second = cut_at_pauses(talk(40, (5, 6), (23.0, 23.4)), RATE)
    assert first.start == 0 and first.stop == second.start and second.stop == 40 * RATE
    assert 23.1 * RATE <= first.stop <= 23.3 * RATE


def test_the_last_of_equal_pauses_is_taken():
    first, _ = cut_at_pauses(talk(40, (21, 22), (26, 27)), RATE)
    assert 26 * RATE < first.stop < 27 * RATE


@settings(max_examples=30, deadline=None)
@given(
    seconds=st.floats(1, 200),
    pauses=st.lists(st.tuples(st.floats(0, 190), st.floats(0.01, 3)), max_size=8),
)
def test_pieces_are_the_whole_recording(seconds, pauses):
    samples = talk(seconds, *((at, at + length) for at, length in pauses))
    pieces = cut_at_pauses(samples, RATE)
    assert [p.stop for p in pieces[:-1]] == [p.start for p in pieces[1:]]
    assert (pieces[0].start, pieces[-1].stop) == (0, len(samples))
    assert all(len(piece) <= 30 * RATE for piece in pieces)
    assert all(len(piece) >= 20 * RATE for piece in pieces[:-1])
    assert len(pieces[-1]) >= min(RATE, len(samples))
