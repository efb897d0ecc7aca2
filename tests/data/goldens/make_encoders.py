"""Computes the reference outputs of the encoder-decoders and the classifier anew: needs torch,
transformers and keras-hub.

    KERAS_BACKEND=jax python tests/data/goldens/make_encoders.py

Weights and inputs are those that are there; the weights are standard normals times 0.3 added to
every initial value, so that every norm, bias and scale shows. KerasHub's presets are as its own
`save_to_preset` wrote them.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras_hub
import numpy as np
import torch
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

HERE = Path(__file__).parent
NEW_TOKENS = 12


def transformers_seq2seq(name: str) -> None:
    folder = HERE / "hf" / name
    golden = dict(np.load(folder / "golden.npz"))
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    names = ("input_ids", "attention_mask", "decoder_input_ids")
    inputs = {key: torch.tensor(golden[key]) for key in names}
    made = torch.tensor(golden["greedy"][:, :1])
    with torch.no_grad():
        golden["logits"] = model(**inputs).logits.numpy()
        for _ in range(NEW_TOKENS):
            logits = model(**(inputs | {"decoder_input_ids": made})).logits
            made = torch.cat([made, logits[:, -1].argmax(-1, keepdim=True)], dim=-1)
    np.savez(folder / "golden.npz", **(golden | {"greedy": made.numpy()}))


def transformers_classifier(name: str) -> None:
    folder = HERE / "hf" / name
    golden = dict(np.load(folder / "golden.npz"))
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = {key: torch.tensor(value) for key, value in golden.items() if key != "logits"}
    with torch.no_grad():
        golden["logits"] = model(**inputs).logits.numpy()
    np.savez(folder / "golden.npz", **golden)


def keras_hub_seq2seq(name: str) -> None:
    folder = HERE / "keras_hub" / name
    golden, known = dict(np.load(folder / "golden.npz")), read(folder)
    lm = keras_hub.models.Seq2SeqLM.from_preset(str(folder))
    lm.compile(sampler="greedy")
    lm.preprocessor.encoder_sequence_length = known["encoder_length"]
    known["generated"] = lm.generate(known["prompts"], max_length=known["max_length"])
    known["tokenizer"]["ids"] = ids(lm.preprocessor.tokenizer, known)
    golden["logits"] = np.asarray(lm(given(golden, "in_")), np.float32)
    lm.preprocessor = None
    made = lm.generate(given(golden, "gen_in_"), stop_token_ids=None)
    golden["gen_out"] = np.asarray(made["decoder_token_ids"])
    write(folder, golden, known)


def keras_hub_classifier(name: str) -> None:
    folder = HERE / "keras_hub" / name
    golden, known = dict(np.load(folder / "golden.npz")), read(folder)
    classifier = keras_hub.models.TextClassifier.from_preset(str(folder))
    golden["logits"] = np.asarray(classifier(given(golden, "in_")), np.float32)
    known["text_logits"] = np.asarray(classifier.predict(known["texts"])).tolist()
    known["tokenizer"]["ids"] = ids(classifier.preprocessor.tokenizer, known)
    write(folder, golden, known)


def read(folder: Path) -> dict:
    return json.loads((folder / "golden.json").read_text())


def write(folder: Path, golden: dict, known: dict) -> None:
    np.savez(folder / "golden.npz", **golden)
    (folder / "golden.json").write_text(json.dumps(known, indent=1))


def given(golden: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v.copy() for k, v in golden.items() if k.startswith(prefix)}


def ids(tokenizer: keras_hub.tokenizers.Tokenizer, known: dict) -> dict:
    return {text: np.asarray(tokenizer(text)).tolist() for text in known["tokenizer"]["ids"]}


if __name__ == "__main__":
    for family in ("bart", "t5gemma"):
        transformers_seq2seq(family)
        keras_hub_seq2seq(family)
    transformers_classifier("bert_classifier")
    keras_hub_classifier("bert_classifier")
