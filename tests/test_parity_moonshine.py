"""Moonshine equals the reference libraries, through the loader users call.

The folders hold tiny random checkpoints with what Transformers 5.23 and KerasHub 0.32 computed
from them.
"""

from __future__ import annotations

import json

import h5py
import jax
import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny import GOLDENS

import workbench as wb
from workbench.backbones.layers.audio import RecordingNorm

TOLERANCE = 1e-4  # float32 logits, absolute
SETTINGS = {"stop_token_ids": None, "sampler": "greedy"}
HUB = GOLDENS / "keras_hub" / "moonshine"
HF = GOLDENS / "hf" / "moonshine"


def load(folder):
    lm = wb.models.CausalLM.from_preset(str(folder), dtype="float32")
    assert type(lm) is wb.models.MoonshineAudioToText
    return lm


@pytest.fixture(scope="module")
def transformers():
    return load(HF), np.load(HF / "golden.npz")


@pytest.fixture(scope="module")
def keras_hub():
    golden = dict(np.load(HUB / "golden.npz")) | json.loads((HUB / "golden.json").read_text())
    return load(HUB), golden


@pytest.fixture(scope="module", params=["hf", "keras_hub"])
def either(request):
    return load(GOLDENS / request.param / "moonshine")


def heard(values):
    return {
        "encoder_input_values": values[..., None],
        "encoder_padding_mask": np.ones(values.shape, bool),
    }


def given(golden, prefix):
    return {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}


def test_transformers_logits(transformers):
    lm, golden = transformers
    ids = golden["decoder_input_ids"].astype("int32")
    target = {"decoder_token_ids": ids, "decoder_padding_mask": np.ones_like(ids)}
    logits = jax.jit(lm)(heard(golden["input_values"]) | target)
    np.testing.assert_allclose(logits, golden["logits"], atol=TOLERANCE)


def test_transformers_ids(transformers):
    lm, golden = transformers
    greedy = golden["greedy"]
    first = np.arange(greedy.shape[1]) == 0
    started = {
        "decoder_token_ids": np.where(first, greedy, 0),
        "decoder_padding_mask": np.broadcast_to(first, greedy.shape),
    }
    out = lm.generate(heard(golden["input_values"]) | started, **SETTINGS)
    np.testing.assert_array_equal(out["decoder_token_ids"], golden["greedy"])


def test_cached_states_are_those_of_the_full_pass(transformers):
    lm, golden = transformers
    backbone, ids = lm.backbone, golden["greedy"].astype("int32")
    source = heard(golden["input_values"])
    target = {"decoder_token_ids": ids, "decoder_padding_mask": np.ones_like(ids)}
    whole = jax.jit(backbone)(source | target)["decoder_sequence_output"]
    cache = jax.jit(lambda: backbone.init_cache(len(ids), ids.shape[1], **source))()
    extend = jax.jit(backbone.extend)
    for at in range(ids.shape[1]):
        position = np.full((len(ids), 1), at, "int32")
        hidden, cache = extend(ids[:, at : at + 1], position, cache)
        np.testing.assert_allclose(hidden[:, 0], whole[:, at], atol=TOLERANCE)


@pytest.fixture(scope="module")
def outputs(keras_hub):
    lm, golden = keras_hub
    return jax.jit(lm.backbone)(given(golden, "in_"))


def test_keras_hub_logits(keras_hub, outputs):
    lm, golden = keras_hub
    mask = golden["hidden_encoder_attention_mask"]
    np.testing.assert_array_equal(outputs["encoder_attention_mask"], mask)
    real = golden["in_decoder_padding_mask"][0].astype(bool)
    logits = lm.backbone.logits(outputs["decoder_sequence_output"])
    np.testing.assert_allclose(logits[0, real], golden["logits"][0, real], atol=TOLERANCE)


def test_keras_hub_norms_the_padding_too(keras_hub, outputs, monkeypatch):
    """Its second recording is padded: only with the norm over padding and all is it the same."""
    lm, golden = keras_hub
    inputs = given(golden, "in_")
    assert inputs["encoder_padding_mask"].all(axis=1).tolist() == [True, False]
    frames, real = (golden[f"hidden_encoder_{n}"] for n in ("sequence_output", "attention_mask"))
    own = np.asarray(outputs["encoder_sequence_output"])
    assert np.abs(own - frames)[1, real[1]].max() > 0.01
    call = RecordingNorm.call
    monkeypatch.setattr(RecordingNorm, "call", lambda self, x, mask: call(self, x, mask | True))
    encode = jax.jit(lambda *read: lm.backbone.encode(*read)[0])
    theirs = encode(inputs["encoder_input_values"], inputs["encoder_padding_mask"])
    np.testing.assert_allclose(np.asarray(theirs)[real], frames[real], atol=TOLERANCE)


def test_keras_hub_ids(keras_hub):
    lm, golden = keras_hub
    out = lm.generate(given(golden, "gen_in_"), **SETTINGS)
    np.testing.assert_array_equal(out["decoder_token_ids"], golden["gen_out"])


def test_keras_hub_strings(keras_hub):
    lm, golden = keras_hub
    inputs = {"audio": golden["raw_audio"][0], "text": golden["prompts"][0]}
    made = lm.generate(inputs, max_length=golden["max_length"])
    assert made == golden["generated"][0]


def test_keras_hub_token_ids(keras_hub):
    lm, golden = keras_hub
    for text, ids in golden["tokenizer"]["ids"].items():
        assert lm.preprocessor.tokenizer(text) == ids, text


def test_recordings_of_unequal_length_equal_each_alone(keras_hub):
    lm, golden = keras_hub
    inputs = {k: v.copy() for k, v in given(golden, "gen_in_").items()}
    lengths = [7013, 3200]
    mask = np.arange(8000) < np.array(lengths)[:, None]
    inputs["encoder_padding_mask"] = mask
    inputs["encoder_input_values"][~mask] = 0.7  # what stands in the padding has no effect
    encode = jax.jit(lm.backbone.encode)
    together, frames = encode(inputs["encoder_input_values"], mask)
    ids = lm.generate(inputs, **SETTINGS)["decoder_token_ids"]
    for row, length in enumerate(lengths):
        one = {name: value[row : row + 1] for name, value in inputs.items()}
        one |= {name: one[name][:, :length] for name in one if name.startswith("encoder")}
        alone, real = encode(one["encoder_input_values"], one["encoder_padding_mask"])
        assert np.asarray(real).all() and real.sum() == frames[row].sum()
        np.testing.assert_allclose(alone[0], together[row, : real.shape[1]], atol=1e-5)
        made = lm.generate(one, **SETTINGS)["decoder_token_ids"]
        np.testing.assert_array_equal(made[0], ids[row])


def test_a_saved_model_is_the_same_to_the_bit(tmp_path, either):
    either.save_to_preset(str(tmp_path / "saved"))
    again = load(tmp_path / "saved")
    ours, theirs = either.backbone.get_config(), again.backbone.get_config()
    assert {**ours, "name": None} == {**theirs, "name": None}
    for one, other in zip(either.backbone.weights, again.backbone.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def tensors(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[:]}) if hasattr(item, "shape") else None
        )
    return found


def test_a_saved_preset_holds_what_keras_hub_wrote(tmp_path, keras_hub):
    """The frequencies of rotation too, which it keeps among the weights."""
    lm, _ = keras_hub
    lm.save_to_preset(str(tmp_path / "saved"))
    ours, theirs = (tensors(f / "model.weights.h5") for f in (tmp_path / "saved", HUB))
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6, err_msg=name)
    for name in ("config.json", "audio_converter.json", "preprocessor.json", "task.json"):
        ours, theirs = (json.loads((f / name).read_text()) for f in (tmp_path / "saved", HUB))
        assert ours["registered_name"] == theirs["registered_name"]
        assert ours["module"] == theirs["module"]
    assert converter_config(tmp_path / "saved") == converter_config(HUB)
    configs = (json.loads((f / "config.json").read_text()) for f in (tmp_path / "saved", HUB))
    ours, theirs = (config["config"] for config in configs)
    assert ours == theirs, "its class takes the dtype as a name only"


def converter_config(folder):
    config = json.loads((folder / "audio_converter.json").read_text())["config"]
    return {k: config[k] for k in ("sampling_rate", "padding_value", "do_normalize")}


def test_an_exported_folder_holds_what_transformers_wrote(tmp_path, transformers):
    lm, _ = transformers
    lm.export_to_transformers(str(tmp_path / "out"))
    ours, theirs = (load_file(f / "model.safetensors") for f in (tmp_path / "out", HF))
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values, err_msg=name)
    ours, theirs = (json.loads((f / "config.json").read_text()) for f in (tmp_path / "out", HF))
    same = theirs.keys() - {"transformers_version", "initializer_range", "use_cache"}
    same -= {"attention_dropout", "decoder_start_token_id", "bos_token_id", "eos_token_id"}
    assert {k: ours.get(k) for k in same} == {k: theirs[k] for k in same}


def test_a_task_exported_to_transformers_comes_back(tmp_path, keras_hub):
    lm, golden = keras_hub
    lm.export_to_transformers(str(tmp_path / "out"))
    told = json.loads((tmp_path / "out" / "preprocessor_config.json").read_text())
    assert told["feature_extractor_type"] == "Wav2Vec2FeatureExtractor"
    assert told["sampling_rate"] == 16_000
    again = load(tmp_path / "out")
    inputs = {"audio": golden["raw_audio"][0], "text": golden["prompts"][0]}
    assert again.generate(inputs, max_length=golden["max_length"]) == golden["generated"][0]


def test_padded_heads_have_no_place_in_transformers(tmp_path):
    backbone = wb.models.MoonshineBackbone(
        16, 12, 1, 1, 12, 12, 2, 2, 1, pad_head_dim_to_multiple_of=8, dtype="float32"
    )
    assert backbone.config.decoder.attention.head_dim == 8
    with pytest.raises(wb.errors.PresetError, match="no model like this"):
        backbone.export_to_transformers(str(tmp_path / "out"))
    backbone.save_to_preset(str(tmp_path / "saved"))
    again = wb.models.Backbone.from_preset(str(tmp_path / "saved"), dtype="float32")
    assert again.config == backbone.config


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("filter_dim", 48, "filter_dim: expected hidden_dim"),
        ("attention_dropout", 0.1, "attention_dropout: expected 0"),
        ("partial_rotary_factor", 1.5, "at most 1"),
        ("partial_rotary_factor", 0.9, "turned: expected an even number"),
        ("encoder_num_heads", 5, "multiple of the number of heads"),
        ("feedforward_expansion_factor", 0, "feedforward_expansion_factor"),
    ],
)
def test_impossible_settings_are_refused(setting, value, message):
    usual = {
        "vocabulary_size": 64,
        "filter_dim": 32,
        "encoder_num_layers": 1,
        "decoder_num_layers": 1,
        "hidden_dim": 32,
        "intermediate_dim": 32,
        "encoder_num_heads": 4,
        "decoder_num_heads": 4,
    }
    with pytest.raises(wb.errors.SettingError, match=message):
        wb.models.MoonshineBackbone(**(usual | {setting: value}))


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("intermediate_size", 100, "a multiple of hidden_size"),
        ("encoder_num_key_value_heads", 2, "which is all this family has"),
        ("decoder_hidden_act", "relu", "which is all this family has"),
        ("attention_bias", True, "which is all this family has"),
        ("partial_rotary_factor", 0.5, "expected one value"),
    ],
)
def test_settings_of_a_folder_that_are_not_understood_are_refused(
    tmp_path, setting, value, message
):
    config = json.loads((HF / "config.json").read_text()) | {setting: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(wb.errors.PresetError, match=message):
        wb.models.Backbone.from_preset(str(tmp_path), load_weights=False)
