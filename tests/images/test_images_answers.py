"""PaliGemma's answers: codes become regions, everything else stays text."""

from __future__ import annotations

import dataclasses
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import SLOW

from workbench.errors import SettingError
from workbench.images import ImageConverter, Plain, Region, read_answer

BOX = "<loc0256><loc0128><loc0768><loc0512>"
CODES = "".join(f"<seg{code:03d}>" for code in range(0, 128, 8))


def test_one_box():
    text = f"{BOX} cat"
    (region,) = read_answer(text).parts
    assert region == Region("cat", (0.25, 0.125, 0.75, 0.5), (), len(BOX) + 1, len(text))
    assert text[region.start : region.stop] == "cat"
    assert region.area == pytest.approx(0.1875)
    assert region.pixels(64, 80) == (16, 10, 48, 40)


def test_several_boxes_with_words_around():
    text = f"I see {BOX} a cat ; {BOX}{CODES} the sofa\nand more"
    answer = read_answer(text)
    assert [region.label for region in answer.regions] == ["a cat", "the sofa"]
    assert [len(region.codes) for region in answer.regions] == [0, 16]
    assert answer.regions[1].codes[:3] == (0, 8, 16)
    assert answer.caption == "I see a cat ; the sofa\nand more"
    for part in answer.parts:
        spoken = part.text if isinstance(part, Plain) else part.label
        assert text[part.start : part.stop] == spoken


@pytest.mark.parametrize("text", [f"{BOX}", f"{BOX} ; {BOX}", f"{BOX};{BOX}  "])
def test_boxes_without_names(text):
    regions = read_answer(text).regions
    assert len(regions) == text.count("<loc0256>")
    for region in regions:
        assert (region.label, region.start) == ("", region.stop)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a cat on a sofa ; a dog",
        "<loc0001><loc0002><loc0003> cat",
        "<loc0001><loc0002><loc0003><loc0004><loc0005> cat",
        f"{BOX}{BOX} two",
        "<loc1024><loc0002><loc0003><loc0004> cat",
        "<loc001><loc0002><loc0003><loc0004> cat",
        f"{BOX}{CODES[:-8]} fifteen codes",
        f"{BOX}{CODES}<seg000> seventeen codes",
        f"{BOX}{CODES[:-8]}<seg128> out of range",
        f"{CODES}{BOX} the wrong way round",
        f"{CODES} no box",
        "<loc٠٠٠١><loc0002><loc0003><loc0004> other digits",
        "<loc0001><loc0002><loc0003><loc00",
    ],
)
def test_what_is_no_region_stays_text(text):
    answer = read_answer(text)
    assert answer.regions == ()
    assert answer.caption == text


def test_corners_in_any_order_and_boxes_without_area():
    turned = read_answer("<loc0768><loc0512><loc0256><loc0128> cat").regions[0]
    assert turned.box == (0.25, 0.125, 0.75, 0.5)
    line = read_answer("<loc0100><loc0000><loc0100><loc1023> wire").regions[0]
    assert line.area == 0
    assert line.box == (100 / 1024, 0, 100 / 1024, 1023 / 1024)


def test_an_answer_being_written_grows_part_by_part():
    text = f"{BOX} cat ; {BOX}{CODES} dog"
    counts = [len(read_answer(text[:length]).regions) for length in range(len(text) + 1)]
    # The codes of a mask hide a box that is already there for as long as they are incomplete.
    assert set(counts) == {0, 1, 2}
    assert counts[-1] == 2
    assert counts[len(BOX)] == 1


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="<>locseg0129 ;\ncat", max_size=120))
def test_any_text_is_covered_in_order(text):
    end = 0
    answer = read_answer(text)
    for part in answer.parts:
        assert end <= part.start <= part.stop
        end = part.stop
    if not answer.regions:
        assert answer.caption == text


def test_long_answers_are_read_quickly():
    start = time.process_time()
    read_answer("<loc0001>" * 50_000 + "<" * 50_000 + f"{BOX} cat ; " * 2_000)
    assert time.process_time() - start < 2 * SLOW


@pytest.mark.parametrize("text", [None, 3, b"bytes", ["text"]])
def test_other_things_than_text_are_named(text):
    with pytest.raises(SettingError, match="text: expected a string"):
        read_answer(text)


def test_an_answer_cannot_be_changed():
    answer = read_answer(f"{BOX} cat")
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.regions[0].label = "dog"
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.text = ""


def test_boxes_of_a_cropped_picture_are_placed_in_the_whole():
    window = ImageConverter((224, 224)).window(100, 200)
    whole = read_answer("<loc0000><loc0000><loc0512><loc0512> cat").within(window)
    assert whole.regions[0].box == (0, 0.25, 0.5, 0.5)
    assert whole.regions[0].pixels(100, 200) == (0, 50, 50, 100)


def test_boxes_of_a_padded_picture_may_reach_beyond_it():
    converter = ImageConverter((224, 224), crop_to_aspect_ratio=False, pad_to_aspect_ratio=True)
    answer = read_answer(f"so {BOX} cat").within(converter.window(100, 200))
    assert answer.regions[0].box == (0, 0.125, 1, 0.5)
    assert answer.parts[0] == Plain("so ", 0, 3)
