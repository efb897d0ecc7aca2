"""Computes the reference outputs of the presets in `keras_hub/` with KerasHub: needs keras-hub.

    KERAS_BACKEND=jax python tests/data/goldens/make_keras_hub.py [names...]

The presets were saved by KerasHub's own `save_to_preset` from models of a few thousand random
weights: standard normals times 0.3, added to every initial value.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras_hub
import numpy as np

# `make_encoders.py`, `make_moonshine.py` and `make_pali_gemma.py` make these.
ELSEWHERE = ("bart", "bert_classifier", "moonshine", "pali_gemma", "pali_gemma2", "t5gemma")
HERE = Path(__file__).parent / "keras_hub"
# KerasHub's cached decoding turns every query of these as the first token's: their greedy tokens
# come from whole forward passes.
UNCACHED = ("gpt_neo_x",)
TEXTS = [
    "the quick brown fox",
    "the earth is round",
    "Hello, world!",
    "the fox  is   quick\n\nround",
    "it's 2024, can't be 12345",
    "naïve café ☕",
    " the",
    "",
]
PROMPTS = ["the quick brown fox", "the earth"]


def arrays(lm: keras_hub.models.CausalLM, length: int) -> dict[str, np.ndarray]:
    made = lm.preprocessor.generate_preprocess(PROMPTS, sequence_length=length)
    return {name: np.asarray(value) for name, value in made.items()}


def greedy(lm: keras_hub.models.CausalLM, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Token ids (B, T) that follow the prompts in `inputs`, by forward passes without a cache."""
    ids, mask = inputs["token_ids"].copy(), inputs["padding_mask"].astype(bool)
    for at in range(1, ids.shape[1]):
        logits = np.asarray(lm({"token_ids": ids, "padding_mask": np.ones_like(mask)}))
        ids[:, at] = np.where(mask[:, at], ids[:, at], logits[:, at - 1].argmax(-1))
    return ids


def texts(lm: keras_hub.models.CausalLM, cached: bool, length: int) -> list[str]:
    """What follows the prompts, up to the end token."""
    if cached:
        return lm.generate(PROMPTS, max_length=length)
    end, found = lm.preprocessor.tokenizer.end_token_id, []
    inputs = arrays(lm, length)
    for row, real in zip(greedy(lm, inputs), inputs["padding_mask"], strict=True):
        ends = np.flatnonzero((row == end) & ~real.astype(bool))
        row = row[: ends[0]] if len(ends) else row
        found.append(lm.preprocessor.tokenizer.detokenize(row[row != end]))
    return found


def outputs(lm: keras_hub.models.CausalLM, length: int, cached: bool) -> dict[str, np.ndarray]:
    inputs = arrays(lm, length)
    lm.compile(sampler="greedy")
    if cached:
        preprocessor, lm.preprocessor = lm.preprocessor, None
        generated = lm.generate({k: v.copy() for k, v in inputs.items()}, stop_token_ids=None)
        lm.preprocessor = preprocessor
    else:
        generated = {"token_ids": greedy(lm, inputs)}
    values = {f"in_{k}": v for k, v in inputs.items()}
    values |= {f"gen_in_{k}": v for k, v in inputs.items()}
    values["logits"] = np.asarray(lm(inputs), np.float32)
    values["gen_out"] = np.asarray(generated["token_ids"])
    return values


def main(names: list[str]) -> None:
    every = sorted(path.name for path in HERE.iterdir() if path.name not in ELSEWHERE)
    for folder in [HERE / name for name in names or every]:
        known = json.loads((folder / "golden.json").read_text())
        lm = keras_hub.models.CausalLM.from_preset(str(folder))
        length, cached = int(lm.preprocessor.sequence_length), folder.name not in UNCACHED
        np.savez(folder / "golden.npz", **outputs(lm, length, cached))
        # Strings whose ids KerasHub's byte-level BPE gets wrong stay out.
        wrong = known["tokenizer"].get("skipped", [])
        ids = {
            t: np.asarray(lm.preprocessor.tokenizer(t)).tolist() for t in TEXTS if t not in wrong
        }
        known["tokenizer"]["ids"] = ids
        known["prompts"] = PROMPTS
        known["generated"] = texts(lm, cached, known["max_length"])
        (folder / "golden.json").write_text(json.dumps(known, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
