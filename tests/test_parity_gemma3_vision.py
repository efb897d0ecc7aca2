"""Gemma 3 with pictures: equal to the reference libraries, both ways, through the loader users
call. `data/goldens` holds what Transformers 5.23 and KerasHub 0.32 computed from these files."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny import GOLDENS

import workbench as wb

TOLERANCE = 1e-4  # float32 logits, absolute
HF, HUB = (GOLDENS / side / "gemma3_vision" for side in ("hf", "keras_hub"))


def load(folder, cls=wb.models.CausalLM):
    return cls.from_preset(str(folder), dtype="float32")


def run(model, inputs):
    """A forward pass, compiled."""
    return np.asarray(jax.jit(model)(inputs), np.float32)


def same_weights(one, other):
    for first, second in zip(one.weights, other.weights, strict=True):
        assert first.path == second.path
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second), err_msg=first.path)


@pytest.fixture(scope="module")
def hf():
    return load(HF), np.load(HF / "golden.npz")


@pytest.fixture(scope="module")
def hub():
    return load(HUB), np.load(HUB / "golden.npz"), json.loads((HUB / "golden.json").read_text())


def hf_inputs(golden):
    ids = golden["input_ids"].astype("int32")
    return {
        "images": golden["pixel_values"].transpose(0, 2, 3, 1)[:, None],
        "vision_mask": golden["token_type_ids"].astype("int32"),
        "token_ids": ids,
        "padding_mask": np.ones_like(ids),
    }


def test_transformers_logits(hf):
    lm, golden = hf
    assert type(lm) is wb.models.Gemma3CausalLM
    np.testing.assert_allclose(run(lm, hf_inputs(golden)), golden["logits"], atol=TOLERANCE)


def test_transformers_greedy(hf):
    lm, golden = hf
    inputs = hf_inputs(golden)
    room = ((0, 0), (0, golden["greedy"].shape[1] - inputs["token_ids"].shape[1]))
    for name in ("vision_mask", "token_ids", "padding_mask"):
        inputs[name] = np.pad(inputs[name], room)
    out = lm.generate(inputs, stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(out["token_ids"], golden["greedy"])


def test_transformers_settings(hf):
    backbone = hf[0].backbone
    encoder = backbone.arguments["vision_encoder"]
    assert encoder == wb.models.Gemma3VisionEncoder(28, 7, 4, 32, 2, 56, 48, pool_size=2)
    assert backbone.arguments["image_token_ids"] == (197, 198, 199)
    assert encoder.tokens == 4


def test_files_of_version_4_hold_the_same_model(hf, tmp_path):
    """Other tensor names, and a text_config that leaves out what is usual."""
    tensors = load_file(HF / "model.safetensors")
    renamed = {
        name.replace("vision_tower.", "vision_tower.vision_model."): tensor
        for name, tensor in tensors.items()
    }
    save_file(renamed, tmp_path / "model.safetensors")
    config = json.loads((HF / "config.json").read_text())
    text = config["text_config"]
    for key in ("layer_types", "hidden_activation", "rms_norm_eps", "rope_parameters"):
        del text[key]
    text |= {"rope_local_base_freq": 10_000.0, "rope_theta": 1_000_000.0, "rope_scaling": None}
    del config["tie_word_embeddings"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = load(tmp_path, wb.models.Backbone)
    assert again.arguments == hf[0].backbone.arguments
    same_weights(again, hf[0].backbone)


def test_a_release_s_config_is_read(hf):
    """What the 4B instruct model's config says, in full."""
    from workbench.families.gemma3_files import VISION

    arguments = VISION.arguments(
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "boi_token_index": 255999,
            "eoi_token_index": 256000,
            "eos_token_id": [1, 106],
            "image_token_index": 262144,
            "initializer_range": 0.02,
            "mm_tokens_per_image": 256,
            "model_type": "gemma3",
            "text_config": {
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "model_type": "gemma3_text",
                "num_hidden_layers": 34,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "sliding_window": 1024,
            },
            "torch_dtype": "bfloat16",
            "transformers_version": "4.50.0.dev0",
            "vision_config": {
                "hidden_size": 1152,
                "image_size": 896,
                "intermediate_size": 4304,
                "model_type": "siglip_vision_model",
                "num_attention_heads": 16,
                "num_hidden_layers": 27,
                "patch_size": 14,
                "vision_use_head": False,
            },
        }
    )
    assert arguments["vision_encoder"] == wb.models.Gemma3VisionEncoder(
        896, 14, 16, 1152, 27, 4304, 2560, pool_size=4
    )
    assert "image_token_ids" not in arguments
    expected = {"vocabulary_size": 262_208, "head_dim": 256, "num_query_heads": 8}
    expected |= {"global_rope_scaling_factor": 8.0, "image_size": 896, "num_key_value_heads": 4}
    assert expected.items() <= arguments.items()


def test_keras_hub_hidden_states_and_logits(hub):
    lm, golden, _ = hub
    inputs = {key[3:]: golden[key] for key in golden.files if key.startswith("in_")}
    real = inputs["padding_mask"]  # padding's own logits mean nothing
    hidden, logits = run(lm.backbone, inputs), run(lm, inputs)
    np.testing.assert_allclose(hidden[real], golden["hidden"][real], atol=TOLERANCE)
    np.testing.assert_allclose(logits[real], golden["logits"][real], atol=TOLERANCE)


def test_keras_hub_ids(hub):
    lm, golden, _ = hub
    inputs = {key[7:]: golden[key] for key in golden.files if key.startswith("gen_in_")}
    out = lm.generate(inputs, stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(out["token_ids"], golden["gen_out"])


def pictures_and_prompts(golden, said):
    images = [list(golden["raw_images_0"]), list(golden["raw_images_1"])]
    return {"images": images, "prompts": said["prompts"]}


def test_keras_hub_inputs(hub):
    lm, golden, said = hub
    made = lm.preprocessor.generate_preprocess(pictures_and_prompts(golden, said))
    for name in ("token_ids", "padding_mask", "vision_mask", "vision_indices"):
        np.testing.assert_array_equal(made[name], golden[f"gen_in_{name}"], err_msg=name)
    for row, count in enumerate((2, 1)):  # the rest of a row is filled up, with nothing it shows
        theirs = golden["gen_in_images"][row, :count]
        np.testing.assert_allclose(made["images"][row, :count], theirs, atol=1e-5)


def test_keras_hub_strings(hub):
    lm, golden, said = hub
    inputs = pictures_and_prompts(golden, said)
    # KerasHub stopped at the end token alone.
    ends = [lm.preprocessor.tokenizer.end_token_id]
    made = lm.generate(inputs, said["max_length"], stop_token_ids=ends, sampler="greedy")
    assert made == said["generated"]


def test_keras_hub_token_ids(hub):
    lm, _, said = hub
    for text, ids in said["tokenizer"]["ids"].items():
        assert lm.preprocessor.tokenizer(text) == ids, text


def test_what_is_saved_is_read_as_it_was(hub, tmp_path):
    lm = hub[0]
    lm.save_to_preset(tmp_path / "saved")
    again = load(tmp_path / "saved")
    same_weights(again, lm)
    assert again.backbone.arguments == lm.backbone.arguments
    assert again.preprocessor.get_config() == lm.preprocessor.get_config()
    assert {path.name for path in (tmp_path / "saved").iterdir()} >= {"image_converter.json"}


def test_a_task_is_exported_with_its_pictures(hub, tmp_path):
    lm, golden, said = hub
    lm.export_to_transformers(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["boi_token_index"], config["image_token_index"]) == (290, 292)
    again = load(tmp_path / "out")
    same_weights(again, lm)
    inputs = pictures_and_prompts(golden, said)
    first, second = (one.preprocessor.generate_preprocess(inputs) for one in (lm, again))
    width = min(first["token_ids"].shape[1], second["token_ids"].shape[1])
    for name in ("token_ids", "vision_mask"):
        np.testing.assert_array_equal(first[name][:, :width], second[name][:, :width])


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch not installed")
def test_transformers_computes_the_same_from_an_export(hf, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    lm, golden = hf
    lm.backbone.export_to_transformers(tmp_path / "out")
    cls = transformers.Gemma3ForConditionalGeneration
    model, info = cls.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    names = ("input_ids", "pixel_values", "attention_mask", "token_type_ids")
    with torch.no_grad():
        inputs = {name: torch.tensor(golden[name]) for name in names}
        logits = model.eval()(**inputs).logits.numpy()
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)


# Prints how far KerasHub's logits from a preset are from those it computed from its own.
PEER = """
import sys
import keras_hub
import numpy as np
task = keras_hub.models.CausalLM.from_preset(sys.argv[1], dtype="float32")
golden = np.load(sys.argv[2])
inputs = {key[3:]: golden[key] for key in golden.files if key.startswith("in_")}
mask = inputs["padding_mask"]
print(float(np.abs(np.asarray(task(inputs))[mask] - golden["logits"][mask]).max()))
"""


@pytest.mark.skipif(importlib.util.find_spec("keras_hub") is None, reason="keras-hub not installed")
def test_keras_hub_computes_the_same_from_what_is_saved_here(hub, tmp_path):
    hub[0].save_to_preset(tmp_path / "saved")
    shutil.copy(HUB / "golden.npz", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PEER, str(tmp_path / "saved"), str(tmp_path / "golden.npz")],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert float(done.stdout.splitlines()[-1]) < TOLERANCE
