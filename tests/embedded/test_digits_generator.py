"""The synthesiser of spoken digits: what it says is what a spectrum shows."""

import numpy as np
import pytest
import sentencepiece

from workbench.recipes.digits import batches, tokens
from workbench.toy_data.digits.generator import HOP, RATE, random_recording, say
from workbench.toy_data.digits.phones import SPELLING, WORDS
from workbench.toy_data.digits.voices import HELD_OUT, voice


def power(samples, low, high):
    """The share of the power between two frequencies in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return spectrum[(hertz >= low) & (hertz < high)].sum() / spectrum.sum()


def of_word(made, number=0, start=0.0, stop=1.0):
    """The samples of a part of a word, in shares of it."""
    frames = np.flatnonzero(made.word == number)
    first, count = frames[0], len(frames)
    return made.samples[int((first + start * count) * HOP) : int((first + stop * count) * HOP)]


def test_the_same_seed_says_the_same():
    one, same, other = say("three one", 5, 7), say("three one", 5, 7), say("three one", 5, 8)
    assert np.array_equal(one.samples, same.samples) and one.text == "three one"
    assert len(other.samples) != len(one.samples) or not np.array_equal(other.samples, one.samples)
    assert one.samples.dtype == np.float32 and len(one.samples) == HOP * len(one.word)
    assert np.abs(one.samples).max() == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize("speaker", [3, 5, 8])
def test_a_voice_has_its_pitch(speaker):
    middle = of_word(say("one", speaker), 0, 0.35, 0.75).astype(float)
    alike = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    lags = np.arange(len(alike))
    likely = (lags > RATE / 400) & (lags < RATE / 70)
    found = RATE / lags[likely][np.argmax(alike[likely])]
    assert found == pytest.approx(voice(speaker).pitch, rel=0.2)


def test_hissing_is_high_and_vowels_are_low():
    for speaker in (0, 1, 2):
        made = say("six", speaker)
        assert power(of_word(made, 0, 0.05, 0.25), 3500, 8000) > 0.7
        assert power(of_word(made, 0, 0.36, 0.5), 100, 3000 * voice(speaker).tract) > 0.9


def test_formants_tell_vowels_apart():
    front, back = (of_word(say(word, 0), 0, 0.6, 0.9) for word in ("three", "four"))
    tract = voice(0).tract
    assert power(front, 1800 * tract, 3300 * tract) > 5 * power(back, 1800 * tract, 3300 * tract)


def test_all_ten_words_can_be_said_and_no_others():
    assert set(SPELLING) == set(WORDS)
    made = say(" ".join(WORDS), 0)
    assert [int(i) for i in np.unique(made.word)] == list(range(-1, 10))
    for text in ("", "ten", "one ten"):
        with pytest.raises(ValueError, match="expected words"):
            say(text)


def test_random_recordings_are_short_and_never_silent():
    for i in range(6):
        made = random_recording(np.random.default_rng(i), voice(HELD_OUT + i))
        assert 1 <= len(made.text.split()) <= 5 and len(made.samples) <= 4.0 * RATE
        assert 0.1 < np.abs(made.samples).max() < 1 and np.isfinite(made.samples).all()


def test_a_digit_is_a_token_and_frames_know_their_word():
    model = sentencepiece.SentencePieceProcessor(model_proto=tokens.train_tokenizer())
    assert [model.id_to_piece(i) for i in range(3)] == ["<unk>", "<s>", "</s>"]
    assert all(len(model.encode(word)) == 1 for word in WORDS)
    batch = next(batches.batches(model, 3, rows=2, step=0, easy_steps=10))
    assert batch.samples.shape == (2, 2**15, 1) and batch.words.shape == batch.places.shape
    for row in range(2):
        ids = batch.ids[row][: batch.counted[row].sum() + 1]
        assert ids[0] == tokens.START and ids[-1] == tokens.END
        said = [WORDS.index(word) for word in model.decode(ids[1:-1].tolist()).split()]
        heard = batch.words[row][batch.words[row] != batches.SILENT_WORD]
        assert sorted(set(heard)) == sorted(set(said))
        assert batch.words[row][-1] == batches.SILENT_WORD or batch.mask[row].all()
