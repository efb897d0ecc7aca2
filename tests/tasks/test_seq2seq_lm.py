"""Encoder-decoders through the calls of every causal model: text in, other text out."""

from __future__ import annotations

import json
import shutil

import keras
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.errors import PresetError, PromptError, SettingError
from workbench.generation.events import Done, Token

BART, T5GEMMA = (GOLDENS / "keras_hub" / name for name in ("bart", "t5gemma"))
FOLDER = GOLDENS / "hf" / "bart"
GREEDY = {"sampler": "greedy", "max_new_tokens": 5}
FOX, EARTH = "the quick brown fox", "the earth"


@pytest.fixture(scope="module")
def bart():
    """Tests leave it as they found it."""
    return wb.models.Seq2SeqLM.from_preset(str(BART), dtype="float32")


@pytest.fixture(scope="module")
def t5gemma():
    return wb.models.Seq2SeqLM.from_preset(str(T5GEMMA), dtype="float32")


def test_it_is_a_causal_model_too(bart):
    assert isinstance(bart, wb.models.CausalLM)


def test_a_batch_gives_what_each_text_gives_alone(bart):
    together = bart.generate([FOX, EARTH], **GREEDY)
    assert together == [bart.generate(text, **GREEDY) for text in (FOX, EARTH)]
    assert len(set(together)) == 2  # what the encoder reads does matter


def test_batches_of_an_iterable_are_joined(bart):
    whole = bart.generate([FOX, EARTH], **GREEDY)
    assert bart.generate(iter([[FOX], [EARTH]]), **GREEDY) == whole
    batches = [{"encoder_text": [FOX]}, {"encoder_text": [EARTH]}]
    assert bart.generate(batches, **GREEDY) == whole


def test_the_decoder_goes_on_from_its_own_text(bart):
    pair = {"encoder_text": EARTH, "decoder_text": "a fox"}
    whole = bart.generate(pair, **GREEDY)
    assert whole == "a fox" + bart.generate(pair, strip_prompt=True, **GREEDY)
    both = {"encoder_text": [EARTH, FOX], "decoder_text": ["a fox", "the"]}
    assert bart.generate(both, **GREEDY)[0] == whole


def test_no_text_for_the_decoder_is_an_empty_one(bart):
    empty = {"encoder_text": EARTH, "decoder_text": ""}
    assert bart.generate({"encoder_text": EARTH}, **GREEDY) == bart.generate(empty, **GREEDY)


@pytest.mark.parametrize("sampler", ["top_k", "top_p", "greedy"])
def test_a_stream_says_what_generate_says(bart, sampler):
    settings = {"sampler": sampler, "seed": 5, "max_new_tokens": 6}
    events = list(bart.stream({"encoder_text": [EARTH, FOX]}, **settings))
    for row, text in enumerate(bart.generate([EARTH, FOX], **settings)):
        own = [event for event in events if getattr(event, "row", None) == row]
        assert "".join(e.text for e in own if isinstance(e, Token)) + own[-1].tail == text
        assert isinstance(own[-1], Done)


@pytest.mark.parametrize("sampler", ["beam", "contrastive"])
def test_samplers_that_search_read_the_source(bart, sampler):
    settings = {"sampler": sampler, "max_new_tokens": 12, "stop_token_ids": None}
    made = bart.generate([EARTH, FOX], **settings)
    assert made == [bart.generate(text, **settings) for text in (EARTH, FOX)]
    assert made[0] != made[1]


def test_one_beam_is_greedy(bart):
    one = wb.samplers.BeamSampler(num_beams=1)
    made = bart.generate([EARTH, FOX], sampler=one, max_new_tokens=5)
    assert made == bart.generate([EARTH, FOX], **GREEDY)


def test_lengths_are_the_decoders(bart):
    ids = bart.preprocessor.generate_preprocess(FOX, sequence_length=9)
    ids = {name: part[None] for name, part in ids.items()}
    made = bart.generate(ids, stop_token_ids=None, sampler="greedy")
    assert made.keys() == {"decoder_token_ids", "decoder_padding_mask"}
    assert made["decoder_token_ids"].shape == (1, 9)
    text = bart.generate(FOX, max_length=9, stop_token_ids=None, sampler="greedy")
    assert bart.preprocessor.generate_postprocess(made) == [text]


def test_a_job_runs_it_as_any_model(bart):
    job = wb.GenerationJob(bart, EARTH, **GREEDY)
    assert job.run() == bart.generate(EARTH, **GREEDY)
    assert job.stats.prompt_tokens == len(bart.preprocessor.prompt_ids(EARTH))


def test_arrays_of_a_pair():
    reader = wb.models.Seq2SeqLMPreprocessor.from_preset(
        str(BART), encoder_sequence_length=8, decoder_sequence_length=5
    )
    inputs, labels, weights = reader({"encoder_text": ["earth"], "decoder_text": [" the"]})
    start, pad, end = (reader.tokenizer.token_to_id(t) for t in ("<s>", "<pad>", "</s>"))
    read = reader.tokenizer("earth")
    padded = [start, *read, end, *[pad] * (6 - len(read))]
    assert inputs["encoder_token_ids"].tolist() == [padded]
    assert inputs["encoder_padding_mask"].sum() == len(read) + 2
    the = reader.tokenizer(" the")[0]
    assert inputs["decoder_token_ids"].tolist() == [[end, start, the, end, pad]]
    assert labels.tolist() == [[start, the, end, pad, pad]]
    assert weights.tolist() == [[True, True, True, False, False]]


def test_texts_that_are_too_long_are_cut_in_training_and_keep_their_end():
    reader = wb.models.Seq2SeqLMPreprocessor.from_preset(
        str(BART), encoder_sequence_length=4, decoder_sequence_length=4
    )
    inputs, labels, _ = reader({"encoder_text": FOX, "decoder_text": FOX})
    end = reader.tokenizer.end_token_id
    assert inputs["encoder_token_ids"][-1] == labels[-1] == end


def test_t5gemma_reads_no_end_token_but_in_training(t5gemma):
    reader, words = t5gemma.preprocessor, t5gemma.preprocessor.tokenizer(EARTH)
    assert reader.prompt_ids(EARTH) == words
    inputs, _, _ = reader({"encoder_text": EARTH, "decoder_text": EARTH})
    real = inputs["encoder_token_ids"][inputs["encoder_padding_mask"]]
    assert real.tolist() == [*words, reader.tokenizer.end_token_id]


def test_training_lowers_the_loss_and_lora_changes_nothing_else():
    lm = wb.models.Seq2SeqLM.from_preset(str(BART), dtype="float32")
    reader = lm.preprocessor
    reader.encoder_sequence_length = reader.decoder_sequence_length = 16
    lm.backbone.enable_lora(2)
    frozen = [v for v in lm.backbone.weights if not v.trainable]
    before = [np.asarray(v) for v in frozen]
    lm.compile(optimizer=keras.optimizers.Adam(0.02))
    data = {"encoder_text": [FOX, EARTH], "decoder_text": [EARTH, FOX]}
    losses = lm.fit(data, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for old, variable in zip(before, frozen, strict=True):
        np.testing.assert_array_equal(old, np.asarray(variable))


def test_half_precision(t5gemma):
    lm = wb.models.Seq2SeqLM.from_preset(str(T5GEMMA), dtype="bfloat16")
    assert {variable.dtype for variable in lm.backbone.variables} == {"bfloat16"}
    assert len(lm.generate(EARTH, **GREEDY)) > 0


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"encoder_text": [EARTH], "decoder_text": ["a", "b"]}, "as many"),
        ({"encoder_text": EARTH, "text": "a"}, "encoder_text and decoder_text"),
        ({"encoder_text": 3}, "expected strings, got int"),
        ({"decoder_token_ids": [[1]], "decoder_padding_mask": [[1]]}, "encoder_token_ids"),
        ("fox " * 80, "prompt 0 has .* expected"),
    ],
)
def test_impossible_inputs_are_named(bart, inputs, message):
    with pytest.raises(PromptError, match=message):
        bart.generate(inputs, **GREEDY)


def test_source_ids_are_checked(bart):
    row = {"decoder_token_ids": np.array([[2, 0]]), "decoder_padding_mask": np.array([[1, 0]])}
    row["encoder_padding_mask"] = np.array([[1, 1]])
    with pytest.raises(PromptError, match="from 0 to 322"):
        bart.generate(row | {"encoder_token_ids": np.array([[5, 323]])}, stop_token_ids=None)
    with pytest.raises(PromptError, match="as many rows"):
        two = {"encoder_token_ids": np.ones((2, 2)), "encoder_padding_mask": np.ones((2, 2))}
        bart.generate(row | two, stop_token_ids=None)


def changed(folder, tmp_path, **settings):
    """A copy of a Transformers folder with other settings."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | settings))
    return copy


@pytest.mark.parametrize(
    "settings",
    [
        {"decoder_start_token_id": 0},
        {"forced_bos_token_id": 2},
        {"forced_eos_token_id": 5},
        {"activation_function": "relu"},
        {"normalize_before": True},
        {"tie_word_embeddings": False},
    ],
)
def test_settings_bart_has_not_are_refused_by_name(tmp_path, settings):
    folder = changed(FOLDER, tmp_path, **settings)
    with pytest.raises(PresetError, match=next(iter(settings))):
        wb.models.Backbone.from_preset(str(folder), load_weights=False)


def test_the_scale_of_embeddings_is_honoured(tmp_path):
    folder = changed(FOLDER, tmp_path, scale_embedding=True)
    inputs = {
        name: np.ones((1, 3), "int32")
        for name in (
            "encoder_token_ids",
            "encoder_padding_mask",
            "decoder_token_ids",
            "decoder_padding_mask",
        )
    }
    plain, scaled = (
        wb.models.Backbone.from_preset(str(path), dtype="float32")(inputs)
        for path in (FOLDER, folder)
    )
    name = "decoder_sequence_output"
    assert np.abs(np.asarray(plain[name]) - np.asarray(scaled[name])).max() > 0.1


def test_a_bias_of_the_logits_has_to_be_zero(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = changed(FOLDER, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["final_logits_bias"][0, 3] = 0.5
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(PresetError, match=r"final_logits_bias.*zero"):
        wb.models.Backbone.from_preset(str(folder))


def test_both_sides_of_t5gemma_have_to_agree(tmp_path):
    config = json.loads((GOLDENS / "hf" / "t5gemma" / "config.json").read_text())
    encoder = config["encoder"] | {"sliding_window": 5}
    folder = changed(GOLDENS / "hf" / "t5gemma", tmp_path, encoder=encoder)
    with pytest.raises(PresetError, match=r"sliding_window.*both sides"):
        wb.models.Backbone.from_preset(str(folder), load_weights=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attention_bias", True),
        ("hidden_activation", "relu"),
        ("attention_dropout", 0.1),
        ("cross_attention_hidden_size", 32),
        ("encoder_layer_types", ["full_attention"]),
        ("sliding_window", None),
        ("decoder_num_layers", 10**9),
    ],
)
def test_arguments_t5gemma_has_not_are_refused_by_name(name, value):
    with pytest.raises((PresetError, SettingError), match=name.partition("coder_")[2] or name):
        wb.models.Backbone.from_preset(str(T5GEMMA), load_weights=False, **{name: value})
