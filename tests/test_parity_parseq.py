"""PARSeq equals KerasHub, through the loader users call, and its files are KerasHub's.

The folder holds a tiny random checkpoint with what KerasHub 0.32 computed from it. KerasHub has no
refinement, so `refinements=0` where its texts are compared.
"""

from __future__ import annotations

import json

import h5py
import jax
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.errors import PresetError

FOLDER = GOLDENS / "keras_hub" / "parseq"
TOLERANCE = 1e-4  # float32 logits, absolute


@pytest.fixture(scope="module")
def lm():
    return wb.models.CausalLM.from_preset(str(FOLDER), dtype="float32")


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(FOLDER / "golden.npz"))


@pytest.fixture(scope="module")
def said():
    return json.loads((FOLDER / "golden.json").read_text())


def given(golden, prefix):
    return {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}


def test_the_class_and_its_settings(lm):
    assert type(lm) is wb.models.PARSeqCausalLM
    assert (lm.num_perms, lm.add_forward_perms, lm.add_mirrored_perms) == (6, True, True)
    assert (lm.end_token_id, lm.seed, lm.max_length) == (0, None, 10)


def test_logits(lm, golden):
    inputs = {k: v if k == "images" else v.astype("int32") for k, v in given(golden, "in_").items()}
    for model in (lm, lm.backbone):  # KerasHub's backbone has the head
        logits = np.asarray(jax.jit(model)(inputs))
        np.testing.assert_allclose(logits, golden["logits"], atol=TOLERANCE)


def test_ids(lm, golden):
    inputs = given(golden, "gen_in_")
    out = lm.generate(inputs, stop_token_ids=None, refinements=0)
    np.testing.assert_array_equal(out["token_ids"], golden["gen_out"])


def test_ids_without_a_preprocessor(lm, golden):
    bare = wb.models.PARSeqCausalLM(lm.backbone, None)
    out = bare.generate(given(golden, "gen_in_"), refinements=0)
    np.testing.assert_array_equal(out["token_ids"], golden["gen_out"])
    assert out["padding_mask"].all()


def test_strings(lm, golden, said):
    made = lm.generate(golden["raw_images"], max_length=said["max_length"], refinements=0)
    assert made == ["".join(characters) for characters in said["generated"]]


def test_token_ids(said):
    # KerasHub does not write the longest label of a tokenizer to its file.
    vocabulary = FOLDER / "assets" / "tokenizer" / "vocabulary.txt"
    tokenizer = wb.models.PARSeqTokenizer(vocabulary, max_label_length=10)
    for text, ids in said["tokenizer"]["ids"].items():
        assert tokenizer(text) == ids, text


def test_steps_with_a_cache_are_the_full_pass(lm, golden):
    backbone = lm.backbone
    ids = golden["in_token_ids"].astype("int32")
    images = golden["in_images"]
    inputs = {"images": images, "token_ids": ids, "padding_mask": np.ones_like(ids)}
    whole = np.asarray(jax.jit(backbone)(inputs))
    memory = jax.jit(backbone.encode)(images)
    cache = jax.jit(lambda m: backbone.init_cache(len(ids), ids.shape[1], memory=m))(memory)

    @jax.jit
    def step(token, at, cache):
        hidden, cache = backbone.extend(token, at, cache)
        return backbone.logits(hidden), cache

    for at in range(ids.shape[1]):
        logits, cache = step(ids[:, at : at + 1], np.full((len(ids), 1), at, "int32"), cache)
        np.testing.assert_allclose(logits[:, 0, :-2], whole[:, at], atol=TOLERANCE)
        assert (logits[:, 0, -2:] < -1e20).all()  # the start and the padding are never written


def test_a_saved_model_is_the_same_to_the_bit(lm, tmp_path):
    lm.save_to_preset(str(tmp_path / "saved"))
    again = wb.models.CausalLM.from_preset(str(tmp_path / "saved"), dtype="float32")
    assert type(again) is type(lm)
    assert again.head_config() == lm.head_config()
    ours, theirs = (model.backbone.get_config() for model in (lm, again))
    assert {**ours, "name": None} == {**theirs, "name": None}
    assert again.preprocessor.image_converter.get_config() == (
        lm.preprocessor.image_converter.get_config()
    )
    for one, other in zip(lm.weights, again.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def test_a_saved_model_is_keras_hubs_to_the_bit(lm, tmp_path):
    lm.save_to_preset(str(tmp_path / "saved"))
    with (
        h5py.File(FOLDER / "model.weights.h5") as theirs,
        h5py.File(tmp_path / "saved" / "model.weights.h5") as ours,
    ):
        expected, found = tensors(theirs), tensors(ours)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def tensors(file):
    found = {}
    file.visititems(
        lambda name, item: (
            found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found


@pytest.mark.parametrize("name", ["config.json", "task.json"])
def test_saved_objects_say_what_keras_hub_says(lm, tmp_path, name):
    lm.save_to_preset(str(tmp_path / "saved"))
    ours, theirs = (json.loads((f / name).read_text()) for f in (tmp_path / "saved", FOLDER))
    assert facts(ours) == {**facts(ours), **facts(theirs)}


def test_the_tokenizers_file_has_what_keras_hubs_class_takes(lm, tmp_path):
    lm.save_to_preset(str(tmp_path / "saved"))
    config = json.loads((tmp_path / "saved" / "tokenizer.json").read_text())["config"]
    layer = {"name", "trainable", "dtype", "config_file"}
    own = {"remove_whitespace", "normalize_unicode", "max_label_length"}
    assert set(config) == layer | own


def facts(item, at=""):
    """Every value of nested objects by where it stands, names and dtypes left out."""
    if not isinstance(item, dict):
        return {at: item}
    kept = {k: v for k, v in item.items() if k not in ("name", "dtype")}
    return {k: v for key, value in kept.items() for k, v in facts(value, f"{at}/{key}").items()}


def test_settings_of_training_are_kept(lm, tmp_path):
    other = wb.models.PARSeqCausalLM(lm.backbone, lm.preprocessor, num_perms=2, seed=3)
    other.save_to_preset(str(tmp_path / "saved"))
    again = wb.models.CausalLM.from_preset(str(tmp_path / "saved"), dtype="float32", seed=4)
    assert (again.num_perms, again.seed) == (2, 4)


def test_transformers_has_no_such_model(lm, tmp_path):
    with pytest.raises(PresetError, match="Transformers has no model like this PARSeqBackbone"):
        lm.export_to_transformers(tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
