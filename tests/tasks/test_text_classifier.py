"""Classifying texts: what is packed, what is learned, which head a preset gives."""

from __future__ import annotations

import itertools
import json
import shutil

import keras
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.errors import PresetError, PromptError, SettingError
from workbench.preprocessing.text_classifier_preprocessor import shares

BERT = GOLDENS / "keras_hub" / "bert_classifier"
FOLDER = GOLDENS / "hf" / "bert_classifier"
TEXTS = ["the quick brown fox", "the earth is round", "the weather is lazy", "a dog jumps"]


@pytest.fixture
def reader():
    return wb.models.TextClassifierPreprocessor.from_preset(str(BERT), sequence_length=12)


def test_a_text_is_framed_and_padded(reader):
    words = reader.tokenizer("the earth")
    arrays = reader("the earth")
    cls, sep, pad = (reader.tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]", "[PAD]"))
    framed = [cls, *words, sep]
    assert arrays["token_ids"].tolist() == framed + [pad] * (12 - len(framed))
    assert arrays["padding_mask"].sum() == len(framed)
    assert not arrays["segment_ids"].any()


def test_a_pair_is_two_segments(reader):
    first, second = reader.tokenizer("the earth"), reader.tokenizer("a fox")
    arrays = reader((["the earth"], ["a fox"]))
    cls, sep = reader.tokenizer.start_token_id, reader.tokenizer.end_token_id
    framed = [cls, *first, sep, *second, sep]
    real = arrays["padding_mask"][0]
    assert arrays["token_ids"][0][real].tolist() == framed
    kinds = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    assert arrays["segment_ids"][0][real].tolist() == kinds


def one_at_a_time(lengths, room):
    """The slow round robin."""
    kept = [0] * len(lengths)
    for turn in itertools.count():
        if sum(kept) == room or kept == lengths:
            return kept
        index = turn % len(lengths)
        kept[index] += kept[index] < lengths[index]


@pytest.mark.parametrize("lengths", [[3, 9], [9, 3], [5, 5], [0, 7], [1, 2, 30], [4]])
def test_room_goes_round_one_token_at_a_time(lengths):
    for room in range(14):
        assert shares(lengths, room, "round_robin") == one_at_a_time(lengths, room)


def test_a_waterfall_fills_the_first_segment_first():
    assert shares([5, 5], 7, "waterfall") == [5, 2]
    assert shares([9, 5], 7, "waterfall") == [7, 0]


def test_labels_pass_through(reader):
    inputs, labels, weights = reader(TEXTS, [0, 1, 0, 1], [1, 1, 1, 0])
    assert inputs["token_ids"].shape == (4, 12)
    assert (labels, weights) == ([0, 1, 0, 1], [1, 1, 1, 0])


@pytest.mark.parametrize("texts", [([],), ["a", 3], (["a", "b"], ["c"])])
def test_impossible_texts_are_refused(reader, texts):
    if texts == ([],):
        assert reader(texts)["token_ids"].shape == (0, 12)
        return
    with pytest.raises(PromptError):
        reader(texts)


def test_a_text_alone_is_no_batch():
    classifier = wb.models.TextClassifier.from_preset(str(BERT))
    with pytest.raises(PromptError, match="list of texts"):
        classifier.predict("the earth")


def test_a_new_head_learns():
    keras.utils.set_random_seed(3)
    classifier = wb.models.TextClassifier.from_preset(str(BERT), num_classes=2, dropout=0.0)
    assert classifier.num_classes == 2
    classifier.backbone.trainable = False
    classifier.compile(optimizer=keras.optimizers.Adam(0.05))
    labels = [0, 1, 1, 1]
    before, _ = classifier.evaluate(TEXTS, labels, verbose=0)
    classifier.fit(TEXTS, labels, epochs=30, verbose=0)
    after, _ = classifier.evaluate(TEXTS, labels, verbose=0)
    assert after < 0.8 * before


def test_pairs_are_read_in_both_parts():
    classifier = wb.models.TextClassifier.from_preset(str(BERT))
    alone = classifier.predict(TEXTS[:2], verbose=0)
    pairs = classifier.predict((TEXTS[:2], TEXTS[2:]), verbose=0)
    other = classifier.predict((TEXTS[:2], TEXTS[:2]), verbose=0)
    assert np.abs(pairs - alone).max() > 1e-3
    assert np.abs(pairs - other).max() > 1e-3


def test_an_activation_of_its_own_is_kept(tmp_path):
    soft = wb.models.TextClassifier.from_preset(str(BERT), activation="softmax")
    made = soft.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(made.sum(axis=1), 1, atol=1e-5)
    soft.save_to_preset(str(tmp_path / "soft"))
    again = wb.models.TextClassifier.from_preset(str(tmp_path / "soft"))
    np.testing.assert_array_equal(again.predict(TEXTS, verbose=0), made)


def test_a_preset_without_a_head_needs_a_number_of_classes(tmp_path):
    backbone = wb.models.Backbone.from_preset(str(BERT))
    backbone.save_to_preset(str(tmp_path / "plain"))
    with pytest.raises(PresetError, match="num_classes"):
        wb.models.TextClassifier.from_preset(str(tmp_path / "plain"))
    assert wb.models.TextClassifier.from_preset(str(tmp_path / "plain"), num_classes=4)


def test_a_head_that_lacks_a_weight_is_refused(tmp_path):
    import h5py

    shutil.copytree(BERT, tmp_path / "copy")
    with h5py.File(tmp_path / "copy" / "task.weights.h5", "r+") as file:
        del file["layers/dense/vars/1"]
    with pytest.raises(PresetError, match="logits/bias"):
        wb.models.TextClassifier.from_preset(str(tmp_path / "copy"))


def edited(tmp_path, **settings):
    copy = tmp_path / "copy"
    shutil.copytree(FOLDER, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | settings))
    return str(copy)


def test_labels_come_from_the_folder(tmp_path):
    names = {"0": "bad", "1": "fair", "2": "good"}
    classifier = wb.models.TextClassifier.from_preset(edited(tmp_path, id2label=names))
    assert classifier.labels == ("bad", "fair", "good")


def test_labels_that_are_none_are_refused(tmp_path):
    with pytest.raises(PresetError, match="id2label"):
        wb.models.TextClassifier.from_preset(edited(tmp_path, id2label={"0": "a", "2": "b"}))


@pytest.mark.parametrize(
    "settings",
    [{"hidden_act": "relu"}, {"layer_norm_eps": 1e-5}, {"position_embedding_type": "relative_key"}],
)
def test_settings_bert_has_not_are_refused_by_name(tmp_path, settings):
    with pytest.raises(PresetError, match=next(iter(settings))):
        wb.models.TextClassifier.from_preset(edited(tmp_path, **settings))


def test_both_forms_of_gelu_are_honoured(tmp_path):
    exact = wb.models.Backbone.from_preset(str(FOLDER), load_weights=False)
    tanh = wb.models.Backbone.from_preset(
        edited(tmp_path, hidden_act="gelu_new"), load_weights=False
    )
    assert exact.get_config()["exact_gelu"] is True
    assert "exact_gelu" not in tanh.get_config()


@pytest.mark.parametrize(
    ("name", "value"), [("num_classes", 0), ("activation", "import os"), ("dropout", 1.5)]
)
def test_impossible_heads_are_refused(name, value):
    with pytest.raises((PresetError, SettingError), match=name):
        wb.models.TextClassifier.from_preset(str(BERT), **{name: value})


def test_a_classifier_is_no_causal_model():
    with pytest.raises(PresetError, match="BertTextClassifier"):
        wb.models.CausalLM.from_preset(str(BERT))
