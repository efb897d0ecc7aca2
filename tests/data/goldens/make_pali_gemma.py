"""Computes PaliGemma's reference outputs anew: needs torch, transformers and keras-hub.

    python tests/data/goldens/make_pali_gemma.py transformers
    KERAS_BACKEND=jax python tests/data/goldens/make_pali_gemma.py keras_hub

Weights, pictures and ids are those that are there; the weights are standard normals times 0.3
added to every initial value, so that every norm, bias and scale shows. Beside what the folders say,
PaliGemma 2 is computed with another window: of Transformers with one that is shorter than the
picture, of KerasHub with one that is longer than anything, since its windows cut into the prompt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
NEW_TOKENS = 12
SHORT, LONG = 6, 64


def transformers(name: str, target: str = "golden.npz", window: int | None = None) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = HERE / "hf" / name
    golden = dict(np.load(folder / "golden.npz"))
    config = AutoConfig.from_pretrained(folder)
    if window is not None:
        config.text_config.sliding_window = window
    model = AutoModelForImageTextToText.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    pictures, ids = torch.tensor(golden["pixel_values"]), torch.tensor(golden["input_ids"])
    prompt = ids.shape[1]

    def logits() -> torch.Tensor:
        after = (torch.arange(ids.shape[1]) >= prompt).to(int).expand(ids.shape)
        inputs = {"input_ids": ids, "pixel_values": pictures, "token_type_ids": after}
        return model(**inputs, attention_mask=torch.ones_like(ids)).logits

    with torch.no_grad():
        made = {"logits": logits().numpy()}
        for _ in range(NEW_TOKENS):
            ids = torch.cat([ids, logits()[:, -1].argmax(-1, keepdim=True)], dim=-1)
    made["greedy"] = ids.numpy()
    np.savez(folder / target, **((golden | made) if window is None else made))


def keras_hub(name: str, target: str = "golden.npz", window: int | None = None) -> None:
    import keras_hub

    folder = HERE / "keras_hub" / name
    golden = dict(np.load(folder / "golden.npz"))
    lm = keras_hub.models.CausalLM.from_preset(str(folder), preprocessor=None)
    for block in lm.backbone.transformer_layers if window is not None else ():
        block.attention.sliding_window_size = window
    inputs = given(golden, "in_")
    made = {
        "hidden": np.asarray(lm.backbone(inputs), np.float32),
        "logits": np.asarray(lm(inputs), np.float32),
    }
    lm.compile(sampler="greedy")
    row = {key: value[1:] for key, value in given(golden, "gen_in_").items()}
    made["gen_out"] = golden["gen_in_token_ids"].copy()
    made["gen_out"][1:] = lm.generate(row, stop_token_ids=None)["token_ids"]
    np.savez(folder / target, **((golden | made) if window is None else made))


def given(golden: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v.copy() for k, v in golden.items() if k.startswith(prefix)}


if __name__ == "__main__" and sys.argv[1] == "transformers":
    transformers("paligemma")
    transformers("paligemma2")
    transformers("paligemma2", "short_window.npz", SHORT)
elif __name__ == "__main__":  # the two libraries do not get along in one process
    keras_hub("pali_gemma")
    keras_hub("pali_gemma2")
    keras_hub("pali_gemma2", "long_window.npz", LONG)
