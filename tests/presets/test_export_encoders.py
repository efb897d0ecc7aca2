"""Encoder-decoders and classifiers exported for Transformers: its own files again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from preset_files import refused
from safetensors.numpy import load_file
from tiny import GOLDENS

import workbench as wb

CLASSES = {"bart": "Seq2SeqLM", "t5gemma": "Seq2SeqLM", "bert_classifier": "TextClassifier"}
TEXTS = ["the quick brown fox", "the earth is round", " the", "naïve café"]


def loaded(kind, name):
    cls = getattr(wb.models, CLASSES[name])
    return cls.from_preset(str(GOLDENS / kind / name), dtype="float32")


@pytest.fixture(scope="module", params=CLASSES)
def exported(request, tmp_path_factory):
    """A folder of the reference's, and what comes of reading and exporting it."""
    folder = tmp_path_factory.mktemp("exported") / request.param
    loaded("hf", request.param).export_to_transformers(folder)
    return GOLDENS / "hf" / request.param, folder


def test_tensors_are_the_originals(exported):
    expected, written = (load_file(path / "model.safetensors") for path in exported)
    # Transformers makes BART's bias of zeros by itself.
    assert not expected.pop("final_logits_bias", np.zeros(1)).any()
    assert written.keys() == expected.keys()
    for name, tensor in expected.items():
        unused = 2 if "embed_positions" in name else 0  # BART's first rows
        np.testing.assert_array_equal(written[name][unused:], tensor[unused:], err_msg=name)


def test_settings_are_the_originals(exported):
    first, again = (
        wb.models.Backbone.from_preset(str(path), load_weights=False) for path in exported
    )
    assert again.arguments == first.arguments
    theirs, written = (json.loads((path / "config.json").read_text()) for path in exported)
    for key in ("model_type", "architectures", "is_encoder_decoder"):
        assert written.get(key) == theirs.get(key)
    if "BertForSequenceClassification" in theirs["architectures"]:
        assert written["id2label"] == theirs["id2label"]


@pytest.mark.parametrize("name", CLASSES)
def test_tokenizers_frame_texts_as_ours(name, tmp_path):
    """The file's own step puts around a text what the preprocessor puts there."""
    import tokenizers

    original = loaded("keras_hub", name)
    original.export_to_transformers(tmp_path / "out")
    reader = original.preprocessor
    if name == "t5gemma":  # a SentencePiece model has no such step
        config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
        assert config["add_bos_token"] is reader.add_start_token
        return
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    for text in TEXTS:
        framed = [reader.tokenizer.start_token_id, *reader.tokenizer(text)]
        assert library.encode(text).ids == [*framed, reader.tokenizer.end_token_id]


@pytest.mark.parametrize("name", ["bart", "t5gemma"])
def test_an_exported_model_says_the_same(name, tmp_path):
    original = loaded("keras_hub", name)
    original.export_to_transformers(tmp_path / "out")
    again = wb.models.Seq2SeqLM.from_preset(str(tmp_path / "out"), dtype="float32")
    settings = {"sampler": "greedy", "max_length": 12}
    assert again.generate(TEXTS[:2], **settings) == original.generate(TEXTS[:2], **settings)


def test_an_exported_classifier_says_the_same(tmp_path):
    original = loaded("keras_hub", "bert_classifier")
    original.labels = ("bad", "fair", "good")
    original.export_to_transformers(tmp_path / "out")
    again = wb.models.TextClassifier.from_preset(str(tmp_path / "out"), dtype="float32")
    assert again.labels == original.labels
    pair = (TEXTS[:2], TEXTS[2:])
    made = again.predict(pair, verbose=0)  # padded to another length
    np.testing.assert_allclose(made, original.predict(pair, verbose=0), atol=1e-5)


def test_an_activation_has_no_place_there(tmp_path):
    soft = wb.models.TextClassifier.from_preset(
        str(GOLDENS / "keras_hub" / "bert_classifier"), activation="softmax"
    )
    with refused("activation"):
        soft.export_to_transformers(tmp_path / "out")


@pytest.mark.parametrize("name", ["bart", "t5gemma"])
def test_transformers_computes_the_same(name, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    loaded("hf", name).export_to_transformers(tmp_path / "out")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    golden = np.load(GOLDENS / "hf" / name / "golden.npz")
    inputs = ("input_ids", "attention_mask", "decoder_input_ids")
    with torch.no_grad():
        logits = model(**{key: torch.tensor(golden[key]) for key in inputs}).logits.numpy()
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)
