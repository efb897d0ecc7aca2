"""The embedded reader of words reads what it never saw, and is no larger than its card says."""

import pytest

import workbench as wb
from workbench.presets.catalog import EMBEDDED, find
from workbench.recipes.words.evaluate import read_right, samples

MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def lm():
    return wb.models.PARSeqCausalLM.from_preset("words_tiny", dtype="float32")


def test_it_is_listed_and_small(lm):
    info = find("words_tiny")
    assert info.modality == "image" and info.embedded and info.supported
    assert info.parameters == lm.backbone.count_params()
    files = (EMBEDDED / "words_tiny").rglob("*")
    assert sum(file.stat().st_size for file in files if file.is_file()) < MOST_BYTES


def test_it_reads_held_out_words(lm):
    # Its card says 91 %; with 50 pictures that leaves room for chance.
    assert read_right(lm, samples("word", "lower case", count=50)) >= 0.8


def test_a_capital_is_read_as_a_small_letter(lm):
    assert read_right(lm, samples("word", "capitals", count=50)) >= 0.8
