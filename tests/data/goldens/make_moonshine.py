"""Computes the reference outputs of Moonshine anew: needs torch, transformers and keras-hub.

    KERAS_BACKEND=jax python tests/data/goldens/make_moonshine.py

Weights and inputs are those that are there; the weights are standard normals times 0.3 added to
every initial value. KerasHub's preset is as its own `save_to_preset` wrote it; the second of its
recordings is shorter than the first.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras_hub
import numpy as np
import torch
from transformers import MoonshineForConditionalGeneration

HERE = Path(__file__).parent
NEW_TOKENS = 12


def transformers_outputs(folder: Path) -> None:
    golden = dict(np.load(folder / "golden.npz"))
    model = MoonshineForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    audio, ids = (torch.tensor(golden[name]) for name in ("input_values", "decoder_input_ids"))
    made = torch.tensor(golden["greedy"][:, :1])
    with torch.no_grad():
        golden["logits"] = model(input_values=audio, decoder_input_ids=ids).logits.numpy()
        for _ in range(NEW_TOKENS):
            logits = model(input_values=audio, decoder_input_ids=made).logits
            made = torch.cat([made, logits[:, -1].argmax(-1, keepdim=True)], dim=-1)
    np.savez(folder / "golden.npz", **(golden | {"greedy": made.numpy()}))


def keras_hub_outputs(folder: Path) -> None:
    golden = dict(np.load(folder / "golden.npz"))
    known = json.loads((folder / "golden.json").read_text())
    lm = keras_hub.models.MoonshineAudioToText.from_preset(str(folder))
    lm.compile(sampler="greedy")
    texts = {"audio": golden["raw_audio"], "text": known["prompts"]}
    known["generated"] = list(lm.generate(texts, max_length=known["max_length"]))
    tokenizer = lm.preprocessor.tokenizer
    for text in known["tokenizer"]["ids"]:
        known["tokenizer"]["ids"][text] = np.asarray(tokenizer(text)).tolist()
    outputs = lm.backbone(given(golden, "in_"))
    golden |= {f"hidden_{name}": np.asarray(value) for name, value in outputs.items()}
    golden["logits"] = np.asarray(lm(given(golden, "in_")), np.float32)
    lm.preprocessor = None
    made = lm.generate(given(golden, "gen_in_"), stop_token_ids=None)
    golden["gen_out"] = np.asarray(made["decoder_token_ids"])
    np.savez(folder / "golden.npz", **golden)
    (folder / "golden.json").write_text(json.dumps(known, indent=1))


def given(golden: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v.copy() for k, v in golden.items() if k.startswith(prefix)}


if __name__ == "__main__":
    transformers_outputs(HERE / "hf" / "moonshine")
    keras_hub_outputs(HERE / "keras_hub" / "moonshine")
