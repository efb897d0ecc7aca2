"""Answers drawn over their pictures: looked at pixel by pixel where it matters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from workbench.errors import ImageError
from workbench.images import draw_answer, label_colours, read_answer
from workbench.images.drawing import COLOURS, _ink

SIZE = (400, 600)  # height, width


def boxed(y0, x0, y1, x1, name=""):
    return "".join(f"<loc{round(v * 1024):04d}>" for v in (y0, x0, y1, x1)) + f" {name}"


def grey(height=SIZE[0], width=SIZE[1]):
    return np.full((height, width, 3), 120, np.uint8)


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def count(image, colour):
    return int((np.asarray(image) == rgb(colour)).all(axis=-1).sum())


def changed(image, given):
    return (np.asarray(image) != given).any(axis=-1)


def test_a_box_is_drawn_around_its_pixels_only():
    answer = read_answer(boxed(0.25, 0.25, 0.75, 0.5))
    drawn = draw_answer(grey(), answer)
    assert (drawn.mode, drawn.size) == ("RGB", (600, 400))
    where = changed(drawn, grey())
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    assert abs(rows[0] - 100) <= 4 and abs(rows[-1] - 299) <= 4
    assert abs(columns[0] - 150) <= 4 and abs(columns[-1] - 299) <= 4
    assert not where[110:290, 160:290].any()
    assert count(drawn, COLOURS[0]) > 500


def test_one_colour_for_each_name():
    names = ["cat", "dog", "cat", *(f"n{i}" for i in range(6))]
    answer = read_answer(" ; ".join(boxed(0.1, 0.1, 0.9, 0.9, name) for name in names))
    table = label_colours(answer)
    assert list(table) == ["cat", "dog", *(f"n{i}" for i in range(6))]
    assert list(table.values()) == [*COLOURS, COLOURS[0]]


def test_names_can_be_read_on_their_colours():
    """WCAG 2 asks for a contrast of 4.5 of text."""

    def light(colour):
        levels = [v / 255 for v in rgb(colour)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in COLOURS:
        brighter, darker = sorted((light(colour), light(_ink(colour))), reverse=True)
        assert (brighter + 0.05) / (darker + 0.05) >= 4.5


def test_colours_differ_for_all_kinds_of_colour_vision():
    """Without red, green or blue receptors (Vienot and others 1999 for the first two, Brettel's
    projection for the third) every pair of colours stays apart."""
    matrices = {
        "all": np.eye(3),
        "no red": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "no green": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
        "no blue": [[1, 0.1446, -0.1446], [0, 0.8592, 0.1408], [0, 0.8592, 0.1408]],
    }
    for matrix in matrices.values():
        seen = [np.asarray(matrix) @ (np.array(rgb(c)) / 255) ** 2.2 for c in COLOURS]
        for one, other in itertools.combinations(seen, 2):
            assert np.abs(one - other).max() > 0.08


def test_names_lie_within_the_picture_and_apart():
    corners = [
        (0, 0, 0.2, 0.2),
        (0, 0.9, 0.1, 0.999),
        (0.9, 0.95, 0.999, 0.999),
        (0.4, 0.4, 0.6, 0.6),
    ]
    text = " ; ".join(boxed(*box, f"a long name {i}") for i, box in enumerate(corners))
    drawn = draw_answer(grey(), read_answer(text))
    for colour in COLOURS[:4]:
        # A plate of more than 100 x 20 pixels, less its letters.
        assert count(drawn, colour) > 1500


def test_equal_boxes_have_names_below_each_other():
    text = " ; ".join(boxed(0.3, 0.3, 0.8, 0.8, name) for name in ("one", "two", "three", "four"))
    drawn = draw_answer(grey(), read_answer(text))
    for colour in COLOURS[:4]:
        assert count(drawn, colour) > 300


def test_a_mask_colours_its_pixels():
    mask = np.zeros(SIZE, bool)
    mask[150:250, 200:300] = True
    answer = read_answer(boxed(0.25, 0.25, 0.75, 0.75))
    drawn = np.asarray(draw_answer(grey(), answer, masks=[mask]))
    expected = 0.6 * 120 + 0.4 * np.array(rgb(COLOURS[0]))
    np.testing.assert_allclose(drawn[200, 250], expected, atol=1.5)
    assert drawn[120, 200].tolist() == [120, 120, 120]
    assert changed(drawn, grey())[200, 198:203].any()


def test_a_decoder_is_asked_for_masks_where_there_are_codes():
    class Half:
        def mask(self, codes, box, height, width):
            found = np.zeros((height, width), bool)
            found[box[0] : (box[0] + box[2]) // 2, box[1] : box[3]] = True
            return found

    codes = "<seg001>" * 16
    with_codes = boxed(0.2, 0.2, 0.8, 0.8).strip() + codes
    drawn = draw_answer(grey(), read_answer(with_codes), Half())
    where = changed(drawn, grey())
    assert where[100:180, 140:460].all() and not where[220:300, 140:460].any()
    without = draw_answer(grey(), read_answer(with_codes))
    assert not changed(without, grey())[100:300, 140:460].any()


def test_small_pictures_are_enlarged_by_a_whole_factor():
    small = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    drawn = draw_answer(small, read_answer("no regions"))
    assert drawn.size == (64 * 6, 40 * 6)
    assert np.array_equal(np.asarray(drawn), np.kron(small, np.ones((6, 6, 1), np.uint8)))


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (3, 5)])
def test_odd_pictures_and_boxes(size):
    boxes = [(0, 0, 0, 0), (0.999, 0.999, 0.999, 0.999), (0.5, 0, 0.5, 0.999), (0, 0, 0.999, 0.999)]
    text = " ; ".join(boxed(*box, "name") for box in boxes)
    answer = read_answer(text)
    for given in (answer, answer.within((-1, 0, 2, 1)), answer.within((0.4, 0.4, 0.6, 0.6))):
        assert draw_answer(grey(*size), given).mode == "RGB"


@pytest.mark.parametrize("name", ["\ud800", "a\0b\tc", "猫 кот", "x" * 5000, "\u202eabc", "🐈"])
def test_any_name_is_drawn(name):
    drawn = draw_answer(grey(), read_answer(boxed(0.2, 0.2, 0.8, 0.8, name)))
    assert count(drawn, COLOURS[0]) > 500


def test_the_given_picture_is_left_alone():
    given = Image.fromarray(grey())
    draw_answer(given, read_answer(boxed(0, 0, 0.9, 0.9, "all")))
    assert np.array_equal(np.asarray(given), grey())


@pytest.mark.parametrize("masks", [[], [np.zeros((2, 2), bool)], [None, None]])
def test_masks_that_do_not_fit_are_named(masks):
    with pytest.raises(ImageError, match="masks: expected"):
        draw_answer(grey(), read_answer(boxed(0, 0, 0.5, 0.5)), masks=masks)
