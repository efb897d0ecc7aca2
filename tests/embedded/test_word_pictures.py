"""The pictures `words_tiny` is trained on: what is written, where, and what is held out."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from workbench.recipes.muon import rows_by_name
from workbench.recipes.words.train import (
    END,
    PADDING,
    START,
    batch,
    build_backbone,
    token_ids,
)
from workbench.toy_data.words.drawing import (
    FONTS,
    HEIGHT,
    UNSEEN_FONTS,
    WIDTH,
    draw,
    draw_with_places,
    fitted,
    font,
)
from workbench.toy_data.words.texts import (
    CHARACTERS,
    KINDS,
    LONGEST,
    cased,
    is_held_out,
    real_words,
    text,
)


def test_held_out_words_are_never_trained_on():
    shown, kept = set(real_words(False)), set(real_words(True))
    assert not shown & kept
    assert len(kept) > 100
    assert {"the", "little"} <= shown | kept
    assert all(map(is_held_out, kept))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held_out", [False, True])
def test_texts_are_of_their_kind(kind, held_out):
    rng = Random(1)
    for _ in range(50):
        made = text(rng, kind, held_out, longest=7)
        assert 1 <= len(made) <= 7
        assert set(made) <= set(CHARACTERS)
        assert is_held_out(made) == held_out
        assert cased(rng, made).lower() == made


def test_a_picture_follows_from_its_seed():
    one, same, other = (draw(Random(seed), "fox") for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert one.size != other.size or not np.array_equal(one, other)


@pytest.mark.parametrize("name", (*FONTS, *UNSEEN_FONTS))
def test_every_font_has_every_character(name):
    face = font(name, 20)
    empty = bytes(face.getmask("\uffff"))
    for character in CHARACTERS + CHARACTERS.upper():
        assert bytes(face.getmask(character)) != empty, character
        assert face.getlength(character) > 3


def test_the_places_are_those_of_the_letters():
    """Straight letters without noise: each differs from the ground within its own place."""
    picture, places = draw_with_places(Random(3), "owl8", strength=0.0)
    assert picture.size == places.size
    columns = np.asarray(places)[places.height // 2]
    found = columns[columns > 0]
    assert (np.diff(found) >= 0).all()
    assert set(found.tolist()) == {1, 2, 3, 4}
    levels = np.asarray(picture, np.float32)
    differs = np.abs(levels - levels[0, 0]).sum(-1).max(0) > 30
    for number in range(1, 5):
        assert differs[columns == number].any()
    assert not differs[columns == 0].any()


def test_pictures_fit_as_the_converter_fits_them():
    for shown in ("a", "thoughtfully"):
        picture = draw(Random(1), shown)
        inside = fitted(picture)
        assert inside.shape == (HEIGHT, WIDTH, 3)
        wide = picture.width / picture.height > WIDTH / HEIGHT
        assert not inside[0 if wide else slice(None), slice(None) if wide else 0].any()


def test_a_batch_says_what_stands_in_each_strip():
    data = batch(1)
    for ids, places, characters in zip(data.ids, data.places, data.characters, strict=True):
        assert ids[0] == START
        length = ids.tolist().index(END) - 1
        assert set(ids[length + 2 :]) <= {PADDING}
        assert places.max() <= length <= LONGEST
        for place, character in zip(places, characters, strict=True):
            assert character == (ids[place] if place else END)


def test_token_ids_are_the_tokenizers():
    from workbench.models import PARSeqTokenizer

    tokenizer = PARSeqTokenizer(CHARACTERS)
    assert token_ids("a1")[1:3] == tokenizer("a1")
    assert (
        tokenizer.start_token_id,
        tokenizer.end_token_id,
        tokenizer.pad_token_id,
    ) == (START, END, PADDING)


def test_muon_steps_the_matrices_alone():
    variables = build_backbone().variables
    sizes = {v.path: (rows_by_name(v.path, tuple(v.shape)), v.shape) for v in variables}
    matrices = {path: found for path, found in sizes.items() if found[0] is not None}
    assert "head/kernel" not in matrices
    assert not any("embedding/embeddings" in path or "bias" in path for path in matrices)
    for path, (outputs, shape) in matrices.items():
        width = 192 if "up" in path else 96
        assert outputs == width, path
        assert np.prod(shape) % outputs == 0
