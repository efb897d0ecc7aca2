"""Makes the adapters and reference outputs in `peft/`: needs torch, transformers and peft.

    python tests/data/lora/make_peft.py [names...]

Each folder is what PEFT writes for a golden checkpoint of the same name, with random numbers, and
the logits that Transformers computes with it from that checkpoint's golden inputs.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model

HERE = Path(__file__).parent / "peft"
BASES = Path(__file__).parents[1] / "goldens" / "hf"
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "pixel_values", "decoder_input_ids")
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        "r": 4,
        "lora_alpha": 6,
        "lora_dropout": 0.1,
        "target_modules": ["q_proj", "v_proj", "o_proj", "down_proj"],
        "rank_pattern": {"layers.1.self_attn.q_proj": 2, "^model.layers.0.mlp.down_proj": 3},
        "alpha_pattern": {"layers.1.self_attn.v_proj": 20, "o_proj": 3},
        "task_type": "CAUSAL_LM",
    },
    "phi3": {
        "r": 4,
        "lora_alpha": 5,
        "use_rslora": True,
        "target_modules": ["qkv_proj", "gate_up_proj", "o_proj"],
        "layers_to_transform": [0, 2],
    },
    "gpt2": {
        "r": 3,
        "lora_alpha": 8,
        "target_modules": ["c_attn", "c_proj"],
        "fan_in_fan_out": True,
    },
    "bloom": {"r": 2, "lora_alpha": 2, "target_modules": "all-linear"},
    "qwen2_moe": {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"]},
    "gemma3_vision": {"r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "fc1"]},
    "paligemma": {
        "r": 3,
        "lora_alpha": 6,
        "target_modules": ".*language_model.*(q_proj|v_proj|down_proj)",
    },
    "t5gemma": {"r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "down_proj"]},
    "bart": {"r": 3, "lora_alpha": 6, "target_modules": ["k_proj", "out_proj", "fc2"]},
}


def base(name: str) -> torch.nn.Module:
    """A golden checkpoint."""
    config = json.loads((BASES / name / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    return cls.from_pretrained(BASES / name, dtype=torch.float32).eval()


def inputs(name: str) -> dict[str, torch.Tensor]:
    """The golden inputs of a checkpoint."""
    golden = np.load(BASES / name / "golden.npz")
    return {key: torch.from_numpy(golden[key]) for key in INPUTS if key in golden.files}


def logits(model: torch.nn.Module, name: str) -> np.ndarray:
    """What a model makes of them."""
    with torch.no_grad():
        return model(**inputs(name)).logits.numpy()


def draw(model: torch.nn.Module, seed: int = 2) -> None:
    """Random updates wide enough that every one of them shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_" in key:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)


def main(names: list[str]) -> None:
    for name in names or CONFIGS:
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        model = get_peft_model(base(name), LoraConfig(**CONFIGS[name])).eval()
        draw(model)
        model.peft_config["default"].base_model_name_or_path = f"example/{name}"
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        again = PeftModel.from_pretrained(base(name), folder).eval()
        np.testing.assert_array_equal(logits(again, name), logits(model, name))
        np.savez_compressed(folder / "golden.npz", logits=logits(model, name))
        print(name, np.abs(logits(model, name) - logits(base(name), name)).max())


if __name__ == "__main__":
    main(sys.argv[1:])
