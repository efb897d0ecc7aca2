"""The embedded preset: small, offline, and what it writes is worth reading."""

import re
import shutil
from itertools import islice

import h5py
import numpy as np
import pytest
import sentencepiece

import workbench as wb
from workbench.presets.handles import EMBEDDED
from workbench.recipes.stories import tokens, train
from workbench.recipes.stories.evaluate import SLIPS, held_out_loss
from workbench.recipes.training import TOKENIZER_FILE

PRESET = EMBEDDED / "stories_tiny_en"
VOCABULARY = PRESET / "assets" / "tokenizer" / "vocabulary.spm"
# Greedy text of these is read by people before each release; none is in the grammar's reach.
PROMPTS = {
    "robot": "The old robot in the garden",
    "Otto": "A penguin named Otto wanted to fly",
    "moon": "The moon was sad because",
    "crocodile": "The crocodile had a toothache.",
}


@pytest.fixture(scope="module")
def lm():
    return wb.models.CausalLM.from_preset("stories_tiny_en", dtype="float32")


@pytest.fixture(scope="module")
def greedy(lm):
    texts = lm.generate(list(PROMPTS.values()), max_length=300, sampler="greedy")
    return dict(zip(PROMPTS, texts, strict=True))


def test_it_is_at_most_six_megabytes():
    size = sum(path.stat().st_size for path in PRESET.rglob("*") if path.is_file())
    assert size <= 6_000_000


def test_weights_are_stored_in_half_the_bytes():
    kinds = set()
    with h5py.File(PRESET / "model.weights.h5") as file:
        file.visititems(lambda _, item: kinds.add(getattr(item, "dtype", None)))
    assert max(kind.itemsize for kind in kinds if kind is not None) == 2


@pytest.mark.parametrize("word", PROMPTS)
def test_it_stays_with_the_prompt_and_is_clean(greedy, word):
    text = greedy[word]
    assert text.startswith(PROMPTS[word])
    assert text.count(word) > 1
    assert len(text.split()) >= 60
    assert text.rstrip()[-1] in '.!?"'
    assert text.count('"') % 2 == 0
    assert SLIPS.search(text) is None
    assert re.search(r"(.{25,})\1", text) is None


def test_it_stops_by_itself(lm):
    *_, done = lm.stream("Once upon a time", max_length=400, sampler="greedy")
    assert done.reason == "stop"


def test_held_out_loss_is_what_the_card_says(lm, monkeypatch):
    monkeypatch.setattr("workbench.recipes.stories.evaluate.HELD_OUT", 16)
    stated = float(re.search(r"([\d.]+) nats per token", (PRESET / "README.md").read_text())[1])
    assert held_out_loss(lm)["nats_a_token"] == pytest.approx(stated, abs=0.15)


def test_rows_start_with_a_story():
    model = sentencepiece.SentencePieceProcessor(model_file=str(VOCABULARY))
    batch = next(tokens.batches(model, seed=5, size=3, length=64))
    assert batch.shape == (3, 65)
    assert batch.dtype == np.int32
    assert (batch[:, 0] == tokens.START).all()
    story = next(islice(tokens.encoded_stories(model, 5), 1))
    assert story[-1] == tokens.END


def test_a_checkpoint_brings_everything_back(tmp_path):
    shutil.copy(VOCABULARY, tmp_path / TOKENIZER_FILE)
    first = train.Training(tmp_path)
    first.state = first.state._replace(step=first.state.step + 7)
    first.seconds = 3.5
    first.save()
    second = train.Training(tmp_path)
    assert int(second.state.step) == 7
    assert second.seconds == 3.5
    for old, new in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(old, new)
