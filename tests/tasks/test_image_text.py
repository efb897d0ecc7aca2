"""Image-text models as a task, with PaliGemma: what they take and refuse, files, training."""

from __future__ import annotations

import json

import jax
import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from tiny import GOLDENS

import workbench as wb
from workbench.errors import ImageError, PromptError, SettingError
from workbench.generation.events import Done, Token

FOLDER = GOLDENS / "keras_hub" / "pali_gemma"
PICTURE = 16  # places of a picture
PROMPTS = ["the fox", "the"]


@pytest.fixture(scope="module")
def lm():
    return wb.models.CausalLM.from_preset(str(FOLDER), dtype="float32")


@pytest.fixture(scope="module")
def pictures():
    return np.load(FOLDER / "golden.npz")["raw_images"].astype("uint8")


def reader(sequence_length=12, **settings):
    made = wb.models.PaliGemmaCausalLMPreprocessor.from_preset(str(FOLDER), **settings)
    made.sequence_length = sequence_length
    return made


def test_a_prompt_is_read_with_its_line_feed(monkeypatch):
    made, seen = reader(), []
    monkeypatch.setattr(made.tokenizer, "tokenize", lambda text: seen.append(text) or [7])
    start = made.tokenizer.start_token_id
    assert [made.prompt_ids(text) for text in ("the", "the\n", "")] == [[start, 7]] * 3
    assert seen == ["the\n", "the\n", "\n"]
    made.add_start_token = False
    assert made.prompt_ids("the") == [7]


def test_lengths_count_text_alone(lm, pictures):
    inputs = {"images": pictures[0], "prompts": "the"}
    text = lm.preprocessor.prompt_ids("the")
    assert lm.prompt_tokens(inputs) == PICTURE + len(text)
    for limit in ({"max_length": len(text) + 3}, {"max_new_tokens": 3}):
        tokens = [e for e in lm.stream(inputs, stop_token_ids=None, **limit) if type(e) is Token]
        assert len(tokens) == 3


def test_a_stream_says_what_generate_says(lm, pictures):
    inputs = {"images": list(pictures), "prompts": PROMPTS}
    settings = {"max_new_tokens": 6, "sampler": "top_k", "seed": 3}
    whole = lm.generate(inputs, strip_prompt=True, **settings)
    events = [e for e in lm.stream(inputs, **settings) if isinstance(e, Token | Done)]
    for row, text in enumerate(whole):
        (end,) = (e for e in events if e.row == row and isinstance(e, Done))
        said = [e.text for e in events if e.row == row and isinstance(e, Token)]
        assert "".join(said) + end.tail == end.text == text
    prompted = lm.generate(inputs, **settings)
    kept = [lm.preprocessor.text(lm.preprocessor.prompt_ids(prompt)) for prompt in PROMPTS]
    assert all(made.startswith(prompt) for made, prompt in zip(prompted, kept, strict=True))


def test_pictures_come_in_every_form(lm, pictures, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(pictures[0]).save(path)
    forms = [pictures[0], str(path), path, path.read_bytes(), Image.open(path)]
    settings = {"max_new_tokens": 4, "strip_prompt": True}
    made = {lm.generate({"images": form, "prompts": "the"}, **settings) for form in forms}
    assert len(made) == 1
    assert lm.generate({"images": path, "text": "the"}, **settings) in made


def test_one_picture_goes_with_every_prompt(lm, pictures):
    settings = {"max_new_tokens": 4}
    shared = lm.generate({"images": pictures[0], "prompts": PROMPTS}, **settings)
    both = {"images": [pictures[0]] * 2, "prompts": PROMPTS}
    assert shared == lm.generate(both, **settings)
    assert shared[1] == lm.generate({"images": pictures[0], "prompts": PROMPTS[1]}, **settings)


def test_what_the_model_sees_matters(lm, pictures):
    source = [{"images": picture, "prompts": "the"} for picture in pictures]
    looks = [lm.image_attention(one, [5, 6, 7]) for one in source]
    assert looks[0].shape == (3, 4, 4)
    assert np.abs(looks[0] - looks[1]).max() > 1e-3
    assert (looks[0].sum(axis=(1, 2)) <= 1 + 1e-6).all()


IMPOSSIBLE = {
    "no picture": ({"prompts": "the"}, PromptError, "expected a picture, got none"),
    "text alone": ("the", PromptError, "expected one picture"),
    "too many": ({"images": [1, 2, 3], "prompts": PROMPTS}, PromptError, "each of 2 prompts"),
    "no prompt": ({"images": 1}, PromptError, "one of prompts and text"),
    "both names": ({"images": 1, "prompts": "a", "text": "a"}, PromptError, "one of prompts"),
    "no file": ({"images": "/no/such.png", "prompts": "the"}, ImageError, "no such file"),
    "no image": ({"images": b"nothing", "prompts": "the"}, ImageError, "image"),
    "a number": ({"images": 1, "prompts": "the"}, ImageError, "image"),
    "an answer": (
        {"images": np.zeros((9, 9, 3)), "prompts": "the", "responses": "a"},
        PromptError,
        "responses",
    ),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_cannot_be_read_is_named(lm, pictures, what):
    inputs, error, said = IMPOSSIBLE[what]
    with pytest.raises(error, match=said):
        lm.generate(inputs, max_new_tokens=2)
    assert lm.generate({"images": pictures[0], "prompts": "the"}, max_new_tokens=2)


def test_without_a_converter_pictures_are_arrays_of_the_models_size(lm, pictures):
    bare = wb.models.PaliGemmaCausalLM(
        backbone=lm.backbone, preprocessor=reader(17, image_converter=None)
    )
    settings = {"max_new_tokens": 4}
    ready = lm.preprocessor.image_converter(pictures[0])
    assert bare.generate({"images": ready, "prompts": "the"}, **settings) == lm.generate(
        {"images": pictures[0], "prompts": "the"}, **settings
    )
    for wrong, said in (
        ("a.png", "expected an array"),
        (ready[:8], r"expected shape \(16, 16, 3\)"),
    ):
        with pytest.raises(PromptError, match=said):
            bare.generate({"images": wrong, "prompts": "the"}, **settings)


def test_arrays_with_pictures_that_do_not_fit_are_refused(lm):
    ids = np.array([[2, 272, 0, 0]])
    for images in (None, np.zeros((2, 16, 16, 3)), np.zeros((1, 8, 8, 3))):
        inputs = {"token_ids": ids, "padding_mask": ids > 0, "images": images}
        with pytest.raises(PromptError, match=r"images: expected shape \(1, 16, 16, 3\)"):
            lm.generate(inputs)


def test_only_answers_weigh(pictures):
    made = reader()
    inputs = {"images": list(pictures), "prompts": PROMPTS, "responses": ["a", "fox"]}
    x, y, weights = made(inputs)
    assert x["images"].shape == (2, 16, 16, 3)
    end = made.tokenizer.end_token_id
    for row, (prompt, answer) in enumerate(zip(PROMPTS, inputs["responses"], strict=True)):
        whole = [*made.prompt_ids(prompt), *made.tokenizer(answer), end][: 12 + 1]
        count, first = len(whole), len(made.prompt_ids(prompt))
        assert x["token_ids"][row][: count - 1].tolist() == whole[:-1][:12]
        assert y[row][: count - 1].tolist() == whole[1:]
        expected = (np.arange(12) >= first - 1) & (np.arange(12) < count - 1)
        np.testing.assert_array_equal(weights[row], expected)
        shown = (np.arange(12) >= first) & (np.arange(12) < count)
        np.testing.assert_array_equal(x["response_mask"][row], shown)
    alone, label, weight = made({"images": pictures[0], "prompts": "the", "responses": "a"})
    assert alone["images"].shape == (16, 16, 3)
    assert label.shape == weight.shape == (12,)
    for wrong in ({"images": pictures[0], "prompts": "the"}, {"images": pictures[0]}):
        with pytest.raises(PromptError):
            made(wrong)
    with pytest.raises(SettingError, match="come from the responses"):
        made(inputs, y=[1, 2])


def test_prompts_as_arrays(pictures):
    made = reader()
    arrays = made.generate_preprocess({"images": pictures[0], "prompts": PROMPTS[:1] * 2}, 24)
    assert {name: array.shape for name, array in arrays.items()} == {
        "images": (2, 16, 16, 3),
        "token_ids": (2, 24),
        "padding_mask": (2, 24),
        "response_mask": (2, 24),
    }
    assert not arrays["response_mask"].any()
    with pytest.raises(PromptError, match="of text: expected at most the sequence length 12"):
        made.generate_preprocess({"images": pictures[0], "prompts": "the quick brown fox"})


def test_training_fits_one_answer(pictures):
    keras.utils.set_random_seed(0)
    lm = wb.models.PaliGemmaCausalLM.from_preset(str(FOLDER), dtype="float32")
    lm.preprocessor.sequence_length = 12
    lm.adapters.add("lora", rank=4, seed=0)
    frozen = {v.path: np.asarray(v) for v in lm.backbone.non_trainable_variables}
    seen = {v.path for v in lm.backbone.trainable_variables}
    assert any("image_encoder" in path for path in seen)
    lm.compile(optimizer=keras.optimizers.Adam(0.05))
    data = {"images": list(pictures), "prompts": ["the", "the"], "responses": ["a", "e"]}
    losses = lm.fit(data, epochs=15, batch_size=2, verbose=0).history["loss"]
    assert losses[-1] < 0.85 * losses[0]
    after = {v.path: np.asarray(v) for v in lm.backbone.non_trainable_variables}
    assert all(np.array_equal(frozen[path], after[path]) for path in frozen)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_smaller_dtypes_load_and_say_nearly_the_same(lm, pictures, dtype):
    small = wb.models.CausalLM.from_preset(str(FOLDER), dtype=dtype)
    inputs = {"images": pictures[0], "prompts": "the"}
    assert isinstance(small.generate(inputs, max_new_tokens=3), str)
    images = lm.preprocessor.image_converter(pictures)
    one, other = (
        np.asarray(jax.jit(model.backbone.encode_images)(images), "float32")
        for model in (lm, small)
    )
    assert np.abs(one - other).max() < 0.1 * np.abs(one).max()
    if dtype == "int8":
        kinds = {v.path: v.dtype for v in small.backbone.variables if "/kernel" in v.path}
        assert kinds["image_encoder/block_0/mlp/up/kernel"] == "int8"


def plain(saved):
    """What a saved object says, without its name and dtype and without what KerasHub adds."""
    beside = ("name", "dtype", "trainable", "config_file")
    config = {key: value for key, value in saved["config"].items() if key not in beside}
    nested = {key: plain(value) for key, value in config.items() if isinstance(value, dict)}
    return saved["registered_name"], config | nested


def test_a_saved_model_is_the_same(lm, pictures, tmp_path):
    lm.save_to_preset(tmp_path / "saved")
    again = wb.models.CausalLM.from_preset(str(tmp_path / "saved"), dtype="float32")
    for one, other in zip(lm.backbone.variables, again.backbone.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)
    assert again.backbone.arguments == lm.backbone.arguments
    assert again.preprocessor.get_config() == lm.preprocessor.get_config()
    ours, theirs = (
        json.loads((path / "preprocessor.json").read_text())
        for path in (tmp_path / "saved", FOLDER)
    )
    assert (
        ours["config"]["image_converter"]["config"]
        == (theirs["config"]["image_converter"]["config"])
    )
    inputs = {"images": list(pictures), "prompts": PROMPTS}
    assert again.generate(inputs, max_new_tokens=4) == lm.generate(inputs, max_new_tokens=4)


@pytest.mark.parametrize("name", ["paligemma", "paligemma2"])
def test_exported_tensors_are_the_originals(name, tmp_path):
    folder = GOLDENS / "hf" / name
    wb.models.CausalLM.from_preset(str(folder), dtype="float32").export_to_transformers(
        tmp_path / "out"
    )
    expected, written = (load_file(f / "model.safetensors") for f in (folder, tmp_path / "out"))
    assert written.keys() == expected.keys()
    for tensor in expected:
        np.testing.assert_array_equal(written[tensor], expected[tensor], err_msg=tensor)
    theirs, ours = (json.loads((f / "config.json").read_text()) for f in (folder, tmp_path / "out"))
    for part in ("vision_config", "text_config"):
        shared = theirs[part].keys() & ours[part].keys()
        assert {k: ours[part][k] for k in shared} == {k: theirs[part][k] for k in shared}
    again = wb.models.Backbone.from_preset(str(tmp_path / "out"), load_weights=False)
    first = wb.models.Backbone.from_preset(str(folder), load_weights=False)
    assert again.arguments == first.arguments


def test_an_exported_model_says_the_same(lm, pictures, tmp_path):
    lm.export_to_transformers(tmp_path / "out")
    again = wb.models.CausalLM.from_preset(str(tmp_path / "out"), dtype="float32")
    assert again.preprocessor.image_converter.image_size == (16, 16)
    assert again.preprocessor.prompt_ids("the fox") == lm.preprocessor.prompt_ids("the fox")
    settings = {"max_new_tokens": 6, "strip_prompt": True}
    again.preprocessor.image_converter = lm.preprocessor.image_converter  # theirs always stretch
    made = again.generate({"images": list(pictures), "prompts": PROMPTS}, **settings)
    assert made == lm.generate({"images": list(pictures), "prompts": PROMPTS}, **settings)


NAMES = {
    "version 4": {"vision_tower.": "vision_tower.vision_model."},
    "in memory": {
        "language_model.model.": "model.language_model.",
        "multi_modal": "model.multi_modal",
    },
}


@pytest.mark.parametrize("version", NAMES)
def test_every_generation_of_names_loads(version, tmp_path):
    from safetensors.numpy import save_file

    folder = GOLDENS / "hf" / "paligemma"
    tensors = load_file(folder / "model.safetensors")
    renamed = {}
    for name, tensor in tensors.items():
        start = next((old for old in NAMES[version] if name.startswith(old)), "")
        renamed[NAMES[version].get(start, "") + name.removeprefix(start)] = tensor
    assert renamed.keys() != tensors.keys()
    renamed["lm_head.weight"] = tensors["language_model.model.embed_tokens.weight"]
    save_file(renamed, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    one, again = (
        wb.models.Backbone.from_preset(str(f), dtype="float32") for f in (folder, tmp_path)
    )
    for a, b in zip(one.variables, again.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_the_layout_map_covers_every_matrix(lm):
    mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), devices=jax.devices())
    layout = wb.models.PaliGemmaBackbone.get_layout_map(mesh)
    kernels = {v.path: v.ndim for v in lm.backbone.weights if v.path.endswith("kernel")}
    assert any(path.startswith("image_connector") for path in kernels)
    for path, axes in kernels.items():
        assert len(layout[path].axes) == axes, path
