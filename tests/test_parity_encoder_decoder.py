"""Encoder-decoders and the classifier equal the reference libraries, through the loader users call.

The folders hold tiny random checkpoints with what Transformers 5.23 and KerasHub 0.32 computed
from them (`data/goldens/make_encoders.py` shows how).
"""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb

TOLERANCE = 1e-4  # float32 logits, absolute

CLASSES = {"bart": "BartSeq2SeqLM", "t5gemma": "T5GemmaSeq2SeqLM"}
# Settings with which KerasHub computed its outputs, where they are not the ones it wrote down: its
# T5Gemma has no windows in the encoder, and its decoder's windows see one key more.
KERAS_HUB = {
    "bart": {},
    "t5gemma": {"encoder_layer_types": ["full_attention"] * 2, "sliding_window": 6},
}


def forward(model, arrays):
    arrays = {name: np.asarray(value, "int32") for name, value in arrays.items()}
    return np.asarray(jax.jit(model)(arrays), np.float32)


@pytest.fixture(scope="module", params=CLASSES)
def transformers(request):
    folder = GOLDENS / "hf" / request.param
    lm = wb.models.CausalLM.from_preset(str(folder), dtype="float32")
    assert type(lm).__name__ == CLASSES[request.param]
    return lm, np.load(folder / "golden.npz")


def source_of(golden):
    return {
        "encoder_token_ids": golden["input_ids"],
        "encoder_padding_mask": golden["attention_mask"],
    }


def test_transformers_logits(transformers):
    lm, golden = transformers
    ids = golden["decoder_input_ids"]
    target = {"decoder_token_ids": ids, "decoder_padding_mask": np.ones_like(ids)}
    logits = forward(lm, source_of(golden) | target)
    np.testing.assert_allclose(logits, golden["logits"], atol=TOLERANCE)


def started(greedy):
    """The decoder's start token, with room for what follows."""
    first = np.arange(greedy.shape[1]) == 0
    return {
        "decoder_token_ids": np.where(first, greedy, 0),
        "decoder_padding_mask": np.broadcast_to(first, greedy.shape),
    }


def test_transformers_ids(transformers):
    lm, golden = transformers
    inputs = source_of(golden) | started(golden["greedy"])
    out = lm.generate(inputs, stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(out["decoder_token_ids"], golden["greedy"])


def test_cached_logits_are_those_of_the_full_pass(transformers):
    """Step by step, every decoded position's hidden state is that of the pass without a cache."""
    lm, golden = transformers
    backbone, ids = lm.backbone, golden["greedy"].astype("int32")
    source = {k: v.astype("int32") for k, v in source_of(golden).items()}
    target = {"decoder_token_ids": ids, "decoder_padding_mask": np.ones_like(ids)}
    whole = jax.jit(backbone)(source | target)["decoder_sequence_output"]
    cache = jax.jit(lambda: backbone.init_cache(len(ids), ids.shape[1], **source))()
    extend = jax.jit(backbone.extend)
    for at in range(ids.shape[1]):
        position = np.full((len(ids), 1), at, "int32")
        hidden, cache = extend(ids[:, at : at + 1], position, cache)
        np.testing.assert_allclose(hidden[:, 0], whole[:, at], atol=TOLERANCE)


def test_a_row_of_unequal_sources_and_prompts_equals_the_row_alone(transformers):
    lm, golden = transformers
    source, greedy = source_of(golden), golden["greedy"]
    width = greedy.shape[1]
    lengths = {"encoder": np.array([12, 5]), "decoder": np.array([1, 4])}
    masks = {
        side: np.arange(n)[None] < lengths[side][:, None]
        for side, n in (("encoder", 12), ("decoder", width))
    }
    both = {
        "encoder_token_ids": source["encoder_token_ids"],
        "encoder_padding_mask": masks["encoder"],
        "decoder_token_ids": greedy,
        "decoder_padding_mask": masks["decoder"],
    }
    settings = {"stop_token_ids": None, "sampler": "greedy"}
    together = lm.generate(both, **settings)["decoder_token_ids"]
    for row in range(2):
        one = {name: value[row : row + 1] for name, value in both.items()}
        one["encoder_token_ids"] = one["encoder_token_ids"][:, : lengths["encoder"][row]]
        one["encoder_padding_mask"] = np.ones_like(one["encoder_token_ids"])
        alone = lm.generate(one, **settings)["decoder_token_ids"]
        np.testing.assert_array_equal(alone[0], together[row])


@pytest.fixture(scope="module", params=KERAS_HUB)
def keras_hub(request):
    folder = GOLDENS / "keras_hub" / request.param
    settings = KERAS_HUB[request.param]
    lm = wb.models.Seq2SeqLM.from_preset(str(folder), dtype="float32", **settings)
    assert type(lm).__name__ == CLASSES[request.param]
    return (
        lm,
        dict(np.load(folder / "golden.npz")),
        json.loads((folder / "golden.json").read_text()),
    )


def given(golden, prefix):
    return {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}


def test_keras_hub_logits(keras_hub):
    lm, golden, _ = keras_hub
    inputs = given(golden, "in_")
    real = inputs["decoder_padding_mask"].astype(bool)  # padding's own logits mean nothing
    logits = forward(lm, inputs)
    np.testing.assert_allclose(logits[real], golden["logits"][real], atol=TOLERANCE)


def test_keras_hub_ids(keras_hub):
    lm, golden, _ = keras_hub
    out = lm.generate(given(golden, "gen_in_"), stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(out["decoder_token_ids"], golden["gen_out"])


def test_keras_hub_strings(keras_hub):
    lm, _, golden = keras_hub
    made = lm.generate(golden["prompts"], max_length=golden["max_length"], sampler="greedy")
    assert made == golden["generated"]


def test_keras_hub_token_ids(keras_hub):
    lm, _, golden = keras_hub
    for text, ids in golden["tokenizer"]["ids"].items():
        assert lm.preprocessor.tokenizer(text) == ids, text


def test_the_windows_of_t5gemma_are_honoured():
    """The golden where the reference departs from what its own file says, on either side."""
    folder = GOLDENS / "keras_hub" / "t5gemma"
    golden = dict(np.load(folder / "golden.npz"))
    lm = wb.models.Seq2SeqLM.from_preset(str(folder), dtype="float32")
    real = golden["in_decoder_padding_mask"].astype(bool)
    logits = forward(lm, given(golden, "in_"))
    assert np.abs(logits - golden["logits"])[real].max() > 0.1


@pytest.mark.parametrize("kind", ["hf", "keras_hub"])
@pytest.mark.parametrize("name", CLASSES)
def test_a_saved_model_is_the_same_to_the_bit(tmp_path, kind, name):
    lm = wb.models.Seq2SeqLM.from_preset(str(GOLDENS / kind / name), dtype="float32")
    lm.save_to_preset(str(tmp_path / "saved"))
    again = wb.models.CausalLM.from_preset(str(tmp_path / "saved"), dtype="float32")
    assert type(again) is type(lm)
    ours, theirs = lm.backbone.get_config(), again.backbone.get_config()
    assert {**ours, "name": None} == {**theirs, "name": None}
    for one, other in zip(lm.backbone.weights, again.backbone.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def test_the_classifier_of_a_transformers_folder():
    folder = GOLDENS / "hf" / "bert_classifier"
    golden = np.load(folder / "golden.npz")
    classifier = wb.models.TextClassifier.from_preset(str(folder), dtype="float32")
    assert type(classifier).__name__ == "BertTextClassifier"
    assert classifier.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    inputs = {
        "token_ids": golden["input_ids"],
        "segment_ids": golden["token_type_ids"],
        "padding_mask": golden["attention_mask"],
    }
    np.testing.assert_allclose(forward(classifier, inputs), golden["logits"], atol=TOLERANCE)


@pytest.fixture(scope="module")
def bert():
    folder = GOLDENS / "keras_hub" / "bert_classifier"
    classifier = wb.models.TextClassifier.from_preset(str(folder), dtype="float32")
    golden = dict(np.load(folder / "golden.npz"))
    return classifier, golden, json.loads((folder / "golden.json").read_text())


def test_the_classifier_of_a_keras_hub_preset(bert):
    classifier, golden, _ = bert
    logits = forward(classifier, given(golden, "in_"))
    np.testing.assert_allclose(logits, golden["logits"], atol=TOLERANCE)


def test_the_classifier_on_strings(bert):
    classifier, _, golden = bert
    made = classifier.predict(golden["texts"], verbose=0)
    np.testing.assert_allclose(made, golden["text_logits"], atol=TOLERANCE)
    for text, ids in golden["tokenizer"]["ids"].items():
        assert classifier.preprocessor.tokenizer(text) == ids, text


@pytest.mark.parametrize("kind", ["hf", "keras_hub"])
def test_a_saved_classifier_is_the_same_to_the_bit(tmp_path, kind):
    folder = GOLDENS / kind / "bert_classifier"
    classifier = wb.models.TextClassifier.from_preset(str(folder), dtype="float32")
    classifier.save_to_preset(str(tmp_path / "saved"))
    again = wb.models.TextClassifier.from_preset(str(tmp_path / "saved"), dtype="float32")
    assert again.head_config() == classifier.head_config()
    for one, other in zip(classifier.weights, again.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)
