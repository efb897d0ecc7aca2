"""The embedded preset that sees: small, offline, and right about pictures it was not trained on."""

import json
import shutil
from itertools import islice
from pathlib import Path
from random import Random

import h5py
import numpy as np
import pytest
import sentencepiece
from PIL import Image, ImageDraw

import workbench as wb
from workbench.presets.catalog import find
from workbench.presets.handles import EMBEDDED
from workbench.recipes.shapes import batches, card, evaluate, tokens, train
from workbench.recipes.training import TOKENIZER_FILE
from workbench.toy_data.shapes import language
from workbench.toy_data.shapes.drawing import draw
from workbench.toy_data.shapes.scene import scenes

PRESET = EMBEDDED / "shapes_tiny"
VOCABULARY = PRESET / "assets" / "tokenizer" / "vocabulary.spm"
TURNS = 24
SLACK = 0.2  # two dozen turns against hundreds


@pytest.fixture(scope="module")
def lm():
    return wb.models.CausalLM.from_preset("shapes_tiny", dtype="float32")


@pytest.fixture(scope="module")
def figures():
    """What the card quotes."""
    return json.loads(evaluate.FIGURES.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model():
    return sentencepiece.SentencePieceProcessor(model_file=str(VOCABULARY))


@pytest.fixture(scope="module")
def said(lm):
    """Turns about pictures that were not trained on, in three thirds, with what the model says."""
    rng, shown = Random(7), evaluate.held_out(3 * TURNS)
    makers = (
        language.caption_turn,
        lambda scene: language.detect_turn(scene, rng),
        lambda scene: language.question_turn(scene, rng),
    )
    turns = [makers[i // TURNS](scene) for i, scene in enumerate(shown)]
    texts = evaluate.answers(lm, [draw(scene) for scene in shown], turns)
    pairs = list(zip(texts, turns, strict=True))
    return {
        "captions": pairs[:TURNS],
        "detections": pairs[TURNS : 2 * TURNS],
        "answers": pairs[2 * TURNS :],
    }


def test_it_is_at_most_six_megabytes():
    size = sum(path.stat().st_size for path in PRESET.rglob("*") if path.is_file())
    assert size <= 6_000_000


def test_weights_are_stored_in_half_the_bytes():
    kinds = set()
    with h5py.File(PRESET / "model.weights.h5") as file:
        file.visititems(lambda _, item: kinds.add(getattr(item, "dtype", None)))
    assert max(kind.itemsize for kind in kinds if kind is not None) == 2


def test_the_catalog_lists_it():
    info = find("shapes_tiny")
    assert info.modality == "image+text"
    assert info.embedded
    assert info.parameters == pytest.approx(1.4e6, rel=0.2)


def share(pairs):
    return np.mean([text == turn.response for text, turn in pairs])


def test_captions_are_right_as_often_as_the_card_says(said, figures):
    assert share(said["captions"]) >= figures["captions"]["exact"] - SLACK


def test_answers_are_right_as_often_as_the_card_says(said, figures):
    assert share(said["answers"]) >= figures["questions"]["right"] - SLACK


def test_boxes_overlap_what_they_name_as_often_as_the_card_says(said, figures):
    overlaps = [
        overlap
        for text, turn in said["detections"]
        for overlap in evaluate.matched(text, turn.response)
    ]
    assert len(overlaps) >= TURNS
    found = np.mean([overlap >= 0.5 for overlap in overlaps])
    assert found >= figures["detections"]["found_at_half"] - SLACK


def test_it_sees_what_a_person_draws(lm):
    picture = Image.new("RGB", (400, 400), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((40, 40, 200, 200), fill=(220, 30, 30))
    pen.rectangle((250, 250, 355, 355), fill=(30, 80, 220))
    inputs = {
        "images": picture,
        "prompts": ["caption en\n", "answer en what colour is the square?\n", "detect circle\n"],
    }
    caption, colour, circle = lm.generate(inputs, max_length=160, strip_prompt=True)
    assert "red circle" in caption
    assert "blue square" in caption
    assert colour == "blue"
    ((box, label),) = evaluate.boxes(circle)
    assert label == "circle"
    assert evaluate.overlap(box, (0.1, 0.1, 0.5, 0.5)) > 0.5


def test_the_card_quotes_the_measured_figures(lm, figures):
    assert figures["parameters"] == lm.backbone.count_params()
    assert card.table(figures) in (PRESET / "README.md").read_text(encoding="utf-8")


def test_new_figures_take_the_place_of_old_ones(tmp_path, figures):
    figures = figures | {"captions": figures["captions"] | {"exact": 0.123}}
    copy = shutil.copy(PRESET / "README.md", tmp_path)
    for _ in range(2):
        card.renew(Path(copy), figures)
    text = Path(copy).read_text(encoding="utf-8")
    assert text.count("| captions, right letter for letter | 12.3 % |") == 1
    assert text.count("## Limits") == 1


def test_the_tokenizer_is_laid_out_as_paligemmas(model):
    assert [model.id_to_piece(i) for i in range(5)] == ["<pad>", "<eos>", "<bos>", "<unk>", "\n"]
    assert model.encode("<loc0000><loc1023><seg127>") == [5, 1028, 1156]
    for text in ("caption en\n", "Zoë's zebra, 3 €", "<loc0512> red circle ; "):
        assert model.decode(model.encode(text)) == text
    assert len(model.encode("a small striped purple triangle")) == 5


def test_rows_mark_the_response_and_its_end(model):
    turn = language.Turn("detect star\n", "none")
    ids, targets, response = tokens.row(model, turn, length=10)
    prompt, answer = model.encode(turn.prompt), model.encode(turn.response)
    assert ids.tolist()[: len(prompt) + 2] == [tokens.START, *prompt, *answer]
    assert targets[targets >= 0].tolist() == [*answer, tokens.END]
    assert np.flatnonzero(response).tolist() == [len(prompt) + 1]
    assert np.flatnonzero(targets >= 0).tolist() == [len(prompt), len(prompt) + 1]


def test_a_batch_pairs_each_picture_with_its_turns(model):
    batch = next(batches.batches(model, 3, 4))
    shown = list(islice(scenes(3), 4))
    assert batch.pictures.shape == (4, 64, 64, 3)
    assert np.abs(batch.pictures).max() <= 1
    assert batch.long.ids.shape == (8, batches.LONG)
    assert batch.short.ids.shape == (4, batches.SHORT)
    captions = [model.decode(row[row >= 0].tolist()) for row in batch.long.targets[:4]]
    assert captions == [language.caption(scene) for scene in shown]


def test_nothing_is_cut_off_a_turn(model):
    rng = Random(4)
    for scene in islice(scenes(11), 200):
        long, short = language.caption_turn(scene), language.question_turn(scene, rng)
        for turn, length in ((long, batches.LONG), (short, batches.SHORT)):
            targets = tokens.row(model, turn, length)[1]
            assert model.decode(targets[targets >= 0].tolist()) == turn.response


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
