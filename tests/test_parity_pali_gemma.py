"""PaliGemma equals the reference libraries, through the loader users call.

The folders hold tiny random checkpoints with what Transformers 5.23 and KerasHub 0.32 computed
from them (`data/goldens/make_pali_gemma.py` shows how).
"""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb

TOLERANCE = 1e-4  # float32 logits, absolute
PICTURE = 16  # places of a picture in all of them

# Folders of Transformers, the file of what it computed, and a window that is not the file's own:
# 6 places, which is less than a picture takes.
TRANSFORMERS = {
    "paligemma": ("paligemma", "golden.npz", {}),
    "paligemma2": ("paligemma2", "golden.npz", {}),
    "short_window": ("paligemma2", "short_window.npz", {"sliding_window_size": 6}),
}
# KerasHub's windows cut into the prompt, which Transformers' do not: compared without windows.
KERAS_HUB = {
    "pali_gemma": ("golden.npz", {}),
    "pali_gemma2": ("long_window.npz", {"sliding_window_size": 64}),
}
GREEDY = {"stop_token_ids": None, "sampler": "greedy"}


def forward(model, inputs):
    return np.asarray(jax.jit(model)(inputs), np.float32)


@pytest.fixture(scope="module", params=TRANSFORMERS)
def transformers(request):
    name, file, settings = TRANSFORMERS[request.param]
    folder = GOLDENS / "hf" / name
    lm = wb.models.CausalLM.from_preset(str(folder), dtype="float32", **settings)
    assert type(lm) is wb.models.PaliGemmaCausalLM
    return lm, dict(np.load(folder / "golden.npz")) | dict(np.load(folder / file))


def text_of(golden):
    """The ids after the picture's places."""
    return golden["input_ids"][:, PICTURE:].astype("int32")


def pictures_of(golden):
    return golden["pixel_values"].transpose(0, 2, 3, 1)


def test_transformers_logits(transformers):
    lm, golden = transformers
    ids = text_of(golden)
    inputs = {
        "images": pictures_of(golden),
        "token_ids": ids,
        "padding_mask": np.ones_like(ids),
        "response_mask": np.zeros_like(ids),
    }
    expected = golden["logits"][:, PICTURE:]
    np.testing.assert_allclose(forward(lm, inputs), expected, atol=TOLERANCE)


def to_fill(golden, lengths):
    """Prompts of these lengths, with room for 12 tokens more than the longest."""
    ids = text_of(golden)
    mask = np.arange(ids.shape[1] + 12) < np.array(lengths)[:, None]
    ids = np.where(mask, np.pad(ids, ((0, 0), (0, 12))), 0)
    return {"images": pictures_of(golden), "token_ids": ids, "padding_mask": mask}


def test_transformers_ids(transformers):
    lm, golden = transformers
    made = lm.generate(to_fill(golden, (12, 12)), **GREEDY)
    np.testing.assert_array_equal(made["token_ids"], golden["greedy"][:, PICTURE:])


def test_a_row_of_unequal_prompts_equals_the_row_alone(transformers):
    lm, golden = transformers
    both = to_fill(golden, (12, 5))
    together = lm.generate(both, **GREEDY)["token_ids"]
    for row in range(2):
        alone = lm.generate({key: value[[row]] for key, value in both.items()}, **GREEDY)
        np.testing.assert_array_equal(alone["token_ids"][0], together[row])


def test_cached_states_are_those_of_the_full_pass(transformers):
    """The picture and a prompt are read at once, an answer is extended token by token."""
    lm, golden = transformers
    backbone, prompt = lm.backbone, 7
    ids = golden["greedy"][:, PICTURE:].astype("int32")
    images, length = pictures_of(golden), ids.shape[1]
    answer = np.broadcast_to(np.arange(length) >= prompt, ids.shape)
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids), "response_mask": answer}
    whole = forward(backbone, {"images": images, **inputs})
    placed = np.pad(ids, ((0, 0), (PICTURE, 0)))
    mask = np.broadcast_to(np.arange(PICTURE + prompt) < PICTURE, (2, PICTURE + prompt))
    read = jax.jit(
        lambda ids, lengths, images, mask: backbone.read(
            ids, lengths, False, images=images, image_mask=mask
        )
    )
    begun = placed[:, : PICTURE + prompt]
    hidden, cache = read(begun, np.full(2, PICTURE + prompt), images[:, None], mask)
    np.testing.assert_allclose(hidden, whole[:, : PICTURE + prompt], atol=TOLERANCE)
    cache, extend = cache.grow(PICTURE + length), jax.jit(backbone.extend)
    for at in range(PICTURE + prompt, PICTURE + length):
        position = np.full((2, 1), at, "int32")
        hidden, cache = extend(placed[:, at : at + 1], position, cache)
        np.testing.assert_allclose(hidden[:, 0], whole[:, at], atol=TOLERANCE)


@pytest.fixture(scope="module", params=KERAS_HUB)
def keras_hub(request):
    file, settings = KERAS_HUB[request.param]
    folder = GOLDENS / "keras_hub" / request.param
    lm = wb.models.CausalLM.from_preset(str(folder), dtype="float32", **settings)
    assert type(lm) is wb.models.PaliGemmaCausalLM
    golden = dict(np.load(folder / "golden.npz")) | dict(np.load(folder / file))
    return lm, golden, json.loads((folder / "golden.json").read_text())


def given(golden, prefix):
    return {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}


def test_keras_hub_hidden_states_and_logits(keras_hub):
    lm, golden, _ = keras_hub
    inputs = given(golden, "in_")
    real = inputs["padding_mask"].astype(bool)  # padding's own logits mean nothing
    seen = np.pad(real, ((0, 0), (PICTURE, 0)), constant_values=True)
    hidden = forward(lm.backbone, inputs)
    np.testing.assert_allclose(hidden[seen], golden["hidden"][seen], atol=TOLERANCE)
    logits = np.asarray(lm.backbone.logits(hidden[:, PICTURE:]))
    np.testing.assert_allclose(logits[real], golden["logits"][real], atol=TOLERANCE)


def test_keras_hub_ids(keras_hub):
    lm, golden, _ = keras_hub
    made = lm.generate(given(golden, "gen_in_"), **GREEDY)
    np.testing.assert_array_equal(made["token_ids"], golden["gen_out"])


def test_keras_hub_pictures(keras_hub):
    lm, golden, _ = keras_hub
    convert = lm.preprocessor.image_converter
    assert type(convert) is wb.models.PaliGemmaImageConverter
    np.testing.assert_array_equal(convert(golden["raw_images"]), golden["in_images"])


def test_keras_hub_token_ids(keras_hub):
    lm, _, golden = keras_hub
    for text, ids in golden["tokenizer"]["ids"].items():
        assert lm.preprocessor.tokenizer(text) == ids, text


def test_windows_do_not_cut_into_the_prompt():
    """The one golden where KerasHub departs from Transformers, by which the releases were made."""
    folder = GOLDENS / "keras_hub" / "pali_gemma2"
    golden = np.load(folder / "golden.npz")
    backbone = wb.models.Backbone.from_preset(str(folder), dtype="float32")
    assert backbone.arguments["sliding_window_size"] < PICTURE
    hidden = forward(backbone, given(golden, "in_"))
    assert np.abs(hidden[:, :PICTURE] - golden["hidden"][:, :PICTURE]).max() > 0.1
