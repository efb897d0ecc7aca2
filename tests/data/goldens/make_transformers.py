"""Makes the checkpoints and reference outputs in `hf/`: needs torch and transformers.

    python tests/data/goldens/make_transformers.py [names...]

Reads a folder's `config.json`. A folder without weights gets new random ones; the outputs are
computed anew from the weights that are there, with each model's default attention: for Falcon that
is PyTorch's, as Transformers 5.23's "eager" one adds ALiBi twice.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

# `make_encoders.py`, `make_moonshine.py` and `make_pali_gemma.py` make these.
ELSEWHERE = ("bart", "bert_classifier", "moonshine", "paligemma", "paligemma2", "t5gemma")
HERE = Path(__file__).parent / "hf"
NEW_TOKENS = 12


def draw(model: torch.nn.Module, seed: int = 0) -> None:
    """Random weights wide enough that every norm, bias and scale shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator) * 0.3
            weight.copy_(weight + noise)


def load(folder: Path) -> torch.nn.Module:
    if (folder / "model.safetensors").exists():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).eval()
    draw(model)
    model.save_pretrained(folder)
    return model


def greedy(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    for _ in range(NEW_TOKENS):
        best = model(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat([ids, best], dim=-1)
    return ids


def main(names: list[str]) -> None:
    every = sorted(path.name for path in HERE.iterdir() if path.name not in ELSEWHERE)
    for folder in [HERE / name for name in names or every]:
        model = load(folder)
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(0, model.config.vocab_size, (2, 12), generator=generator)
        with torch.no_grad():
            logits = model(input_ids=ids).logits
            outputs = {"logits": logits.numpy(), "greedy": greedy(model, ids).numpy()}
        np.savez(folder / "golden.npz", input_ids=ids.numpy(), **outputs)


if __name__ == "__main__":
    main(sys.argv[1:])
