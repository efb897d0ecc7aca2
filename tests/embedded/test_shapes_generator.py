"""Generated scenes: what is said of them is read again, independently, and looked for in pixels."""

import re
from dataclasses import replace
from itertools import combinations, islice
from random import Random

import numpy as np
import pytest

from workbench.recipes.shapes import patches
from workbench.toy_data.shapes import language
from workbench.toy_data.shapes.drawing import draw
from workbench.toy_data.shapes.language import Kind
from workbench.toy_data.shapes.scene import COLOURS, SHAPES, SIZES, TEXTURES, scenes

COUNT = 300
WORD = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "texture": TEXTURES}


@pytest.fixture(scope="module")
def shown():
    return list(islice(scenes(seed=40_000), COUNT))


@pytest.fixture(scope="module")
def asked(shown):
    rng = Random(1)
    return [(scene, language.question_turn(scene, rng)) for scene in shown for _ in range(6)]


def words(text, part):
    """The word of a kind that a phrase holds; plurals count."""
    found = [word for word in WORD[part] if re.search(rf"\b{word}s?\b", text)]
    assert len(found) <= 1, text
    return found[0] if found else None


def of_phrase(scene, phrase):
    """The things a phrase is true of."""
    wanted = {part: words(phrase, part) for part in WORD}
    return [
        thing
        for thing in scene.things
        if all(word in (None, getattr(thing, part)) for part, word in wanted.items())
    ]


def test_equal_seeds_give_equal_pictures():
    first, again = (next(scenes(5)) for _ in range(2))
    assert first == again
    assert draw(first).tobytes() == draw(again).tobytes()
    assert next(scenes(6)) != first


def test_things_lie_within_the_picture_and_clear_of_each_other(shown):
    for scene in shown:
        assert 1 <= len(scene.things) <= 3
        assert [t.x for t in scene.things] == sorted(t.x for t in scene.things)
        for thing in scene.things:
            assert min(thing.box) > 0
            assert max(thing.box) < 1
        for a, b in combinations(scene.things, 2):
            assert np.hypot(a.x - b.x, a.y - b.y) > 0.95 * (a.radius + b.radius)


def test_every_word_is_used(shown):
    for part, known in WORD.items():
        assert {getattr(t, part) for scene in shown for t in scene.things} == set(known)
    assert {len(scene.things) for scene in shown} == {1, 2, 3}


def test_captions_name_everything_in_order(shown):
    for scene in shown:
        phrases = re.split(r" and |, | above | left of ", language.caption(scene))
        things = [of_phrase(scene, phrase) for phrase in phrases]
        assert len(phrases) == len(scene.things)
        for phrase, thing in zip(phrases, things, strict=True):
            assert re.fullmatch(r"a (small|large)( striped| dotted)? \w+ \w+", phrase)
            assert thing
        if " above " in language.caption(scene):
            assert min(t.y for t in things[0]) < max(t.y for t in things[1])
        else:
            starts = [min(t.x for t in group) for group in things]
            ends = [max(t.x for t in group) for group in things]
            assert all(a <= b for a, b in zip(starts, ends[1:], strict=False))


def test_captions_of_two_things_say_how_they_lie(shown):
    for scene in shown:
        if len(scene.things) == 2:
            dx, dy = (abs(np.diff([getattr(t, axis) for t in scene.things])) for axis in "xy")
            assert (" above " in language.caption(scene)) == bool(dy > dx)


def answer_again(scene, question):
    """The answer, from the question's words and the scene's things alone."""
    if match := re.fullmatch(r"how many (.+) are there\?", question):
        return str(len(of_phrase(scene, match[1])))
    if match := re.fullmatch(r"is there an? (.+)\?", question):
        return "yes" if of_phrase(scene, match[1]) else "no"
    if match := re.fullmatch(r"what colou?r is the (\w+)\?", question):
        return only(of_phrase(scene, match[1]), "colour")
    if match := re.fullmatch(r"which shape is the (small|larg)e?st\?", question):
        return extreme(scene, match[1]).shape
    if match := re.fullmatch(r"what colou?r is the (small|larg)e?st shape\?", question):
        return extreme(scene, match[1]).colour
    if match := re.fullmatch(r"which shape is (\w+)\?", question):
        return only(of_phrase(scene, match[1]), "shape")
    if match := re.fullmatch(r"is the (\w+) plain, striped or dotted\?", question):
        return only(of_phrase(scene, match[1]), "texture")
    if match := re.fullmatch(r"is the (\w+) small or large\?", question):
        return only(of_phrase(scene, match[1]), "size")
    match = re.fullmatch(r"is the (\w+) (left of|right of|above|below) the (\w+)\?", question)
    (first,), (second,) = (of_phrase(scene, match[i]) for i in (1, 3))
    axis = "x" if match[2] in ("left of", "right of") else "y"
    before = getattr(first, axis) < getattr(second, axis)
    return "yes" if before == (match[2] in ("left of", "above")) else "no"


def only(found, part):
    assert len(found) <= 1
    return getattr(found[0], part) if found else "none"


def extreme(scene, word):
    ordered = sorted(scene.things, key=lambda thing: thing.radius)
    return ordered[0] if word == "small" else ordered[-1]


def test_answers_are_right(asked):
    for scene, turn in asked:
        question = turn.prompt.removeprefix("answer en ").removesuffix("\n")
        assert turn.response == answer_again(scene, question), question


def test_every_kind_of_question_is_asked_and_neither_answer_is_a_safe_guess(asked):
    rng = Random(2)
    for kind in language.QUESTIONS:
        assert any(language.ask(kind, scene, rng) for scene, _ in asked)
    said = [turn.response for _, turn in asked if turn.prompt.startswith("answer en is there")]
    assert 0.35 < said.count("yes") / len(said) < 0.65


def test_boxes_enclose_the_pixels_of_their_thing(shown):
    for scene in shown[:25]:
        for thing in scene.things:
            plain = replace(thing, outlined=False, texture="plain")
            alone = replace(scene, things=(plain,), noise=0.0)
            empty = replace(scene, things=(), noise=0.0)
            differ = np.abs(np.asarray(draw(alone), int) - np.asarray(draw(empty), int)).max(-1)
            rows, columns = (np.flatnonzero((differ > 12).any(axis)) for axis in (1, 0))
            box = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
            np.testing.assert_allclose(np.array(box) / 224, thing.box, atol=3 / 224)


def test_a_detection_names_the_boxes_of_what_was_asked_for(shown):
    scene = next(s for s in shown if len(s.things) == 3)
    text = language.detection(scene, [Kind()])
    assert [label for label in re.findall(r"> (\w+)", text)] == ["shape"] * 3
    codes = np.array(re.findall(r"<loc(\d{4})>", text), int).reshape(3, 4)
    boxes = [thing.box for thing in scene.things]
    np.testing.assert_allclose(codes / 1024, boxes, atol=0.5 / 64 + 1e-6)
    absent = next(shape for shape in SHAPES if not Kind(shape).of(scene))
    assert language.detection(scene, [Kind(absent)]) == "none"


def test_detections_of_all_kinds_agree_with_the_scene(shown):
    rng = Random(3)
    for scene in shown:
        turn = language.detect_turn(scene, rng)
        wanted = turn.prompt.removeprefix("detect ").removesuffix("\n").split(" ; ")
        count = sum(len(of_phrase(scene, phrase)) for phrase in wanted)
        assert turn.response.count("<loc") == 4 * count
        assert count or turn.response == "none"


def test_lessons_of_patches_name_what_the_picture_shows(shown):
    taught = patches.lessons(shown[:50], side=64, patch=8)
    assert taught.words.shape == (50, 64, 5)
    assert taught.edges.shape == (50, 64, 4)
    for scene, lesson, edges in zip(shown, taught.words, taught.edges, strict=False):
        seen = {tuple(row) for row in lesson} - {(0,) * 5}
        assert {row[-1] for row in seen} == set(range(1, len(scene.things) + 1))
        for *words, place in seen:
            thing = scene.things[place - 1]
            for word, (part, names) in zip(words, patches.WORDS.items(), strict=True):
                assert names[word - 1] == getattr(thing, part)
            (found,) = {tuple(row) for row in edges[lesson[:, -1] == place]}
            np.testing.assert_allclose((np.array(found) + 4) / 8, thing.box, atol=1e-6)


def test_the_loss_of_a_perfect_head_is_about_zero(shown):
    taught = patches.lessons(shown[:3], side=64, patch=8)
    sharp = [30.0 * np.eye(n)[taught.words[..., i]] for i, n in enumerate(patches.CLASSES)]
    outputs = np.concatenate([*sharp, taught.edges], axis=-1)
    assert outputs.shape[-1] == patches.OUTPUTS
    assert float(patches.lesson_loss(outputs, taught)) < 1e-4
    worse = np.concatenate([*sharp, taught.edges + 2], axis=-1)
    assert float(patches.lesson_loss(worse, taught)) == pytest.approx(2, abs=1e-3)
