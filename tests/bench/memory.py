"""Peak memory of loading, generating and training, beside what the estimate says.

    python tests/bench/memory.py [case ...]

Every case runs in a process of its own: a Llama of random weights is written as a Transformers
folder, loaded, and put to work. Peaks are the process's largest resident size, on CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

RUNNER = Path(__file__).parent / "runners" / "memory_runner.py"

SMALL = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8}
MEDIUM = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 12}
WIDE = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "vocab_size": 262144}
# name: sizes, dtype, what to do
CASES = {
    "tiny": ({"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}, "float32", {}),
    "load": (MEDIUM, "float32", {"length": 0}),
    "short": (MEDIUM, "float32", {"length": 64}),
    "long": (SMALL, "float32", {"length": 2048}),
    "batch": (SMALL, "float32", {"length": 512, "batch": 8}),
    "vocabulary": (WIDE, "float32", {"length": 256}),
    "bfloat16": (MEDIUM, "bfloat16", {"length": 256}),
    "bfloat16 vocabulary": (WIDE, "bfloat16", {"length": 256}),
    "train": (SMALL, "float32", {"length": 128, "batch": 4, "training": True}),
    "train long": (SMALL, "float32", {"length": 512, "batch": 2, "training": True}),
    "train vocabulary": (WIDE, "float32", {"length": 128, "batch": 2, "training": True}),
    "two prompts": (MEDIUM, "float32", {"length": 1024, "batch": 2}),
    "longer": (SMALL, "float32", {"length": 8192}),
    "long bfloat16": (SMALL, "bfloat16", {"length": 4096}),
    "long batch": (SMALL, "float32", {"length": 2048, "batch": 4}),
    "load int8": (MEDIUM, "int8", {"length": 0}),
    "int8": (MEDIUM, "int8", {"length": 256}),
    "int8 vocabulary": (WIDE, "int8", {"length": 256}),
    "int8 from bfloat16": (MEDIUM, "int8_from_bfloat16", {"length": 256}),
    "load int4": (MEDIUM, "int4", {"length": 0}),
    "int4": (MEDIUM, "int4", {"length": 256}),
    "int4 vocabulary": (WIDE, "int4", {"length": 256}),
    "train longer": (SMALL, "float32", {"length": 2048, "batch": 1, "training": True}),
    "lora bfloat16": (
        SMALL,
        "bfloat16",
        {"length": 256, "batch": 2, "training": True, "lora_rank": 4},
    ),
    "lora": (MEDIUM, "float32", {"length": 256, "batch": 4, "training": True, "lora_rank": 8}),
}


def config_of(sizes: dict[str, int]) -> dict[str, object]:
    """A Transformers config of a Llama with heads of 64 numbers, four of them to a key."""
    heads = sizes["hidden_size"] // 64
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 32000,
        "num_attention_heads": heads,
        "num_key_value_heads": max(heads // 4, 1),
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        **sizes,
    }


def write_folder(folder: Path, sizes: dict[str, int]) -> None:
    """A checkpoint of random numbers."""
    config = config_of(sizes)
    (folder / "config.json").write_text(json.dumps(config))
    width, inner = config["hidden_size"], config["intermediate_size"]
    keys = config["num_key_value_heads"] * 64
    shapes = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }
    noise = np.random.default_rng(0)

    def random(shape: tuple[int, ...]) -> np.ndarray:
        return noise.standard_normal(shape, np.float32) * np.float32(0.02)

    tensors = {
        f"model.layers.{i}.{name}.weight": random(shape)
        for i in range(config["num_hidden_layers"])
        for name, shape in shapes.items()
    }
    tensors["model.embed_tokens.weight"] = random((config["vocab_size"], width))
    tensors["model.norm.weight"] = random((width,))
    save_file(tensors, folder / "model.safetensors")


def measure(
    sizes: dict[str, int], dtype: str, work: dict[str, Any], runner: Path = RUNNER
) -> dict[str, float]:
    """Bytes at the peak and as estimated, with the estimate's parts."""
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder), sizes)
        command = [sys.executable, str(runner), folder, dtype, json.dumps(work)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main(names: list[str]) -> None:
    """Print a line for each case, in megabytes."""
    parts = ("weights", "cache", "activations", "optimizer", "process")
    print(
        f"{'case':20} {'peak':>6} {'guess':>6} {'off':>6}  " + " ".join(f"{p:>11}" for p in parts)
    )
    for name in names or CASES:
        found = measure(*CASES[name])
        off = found["total"] / found["peak"] - 1
        figures = " ".join(f"{found[part] / 1e6:11.0f}" for part in parts)
        totals = f"{found['peak'] / 1e6:6.0f} {found['total'] / 1e6:6.0f} {off:+6.1%}"
        print(f"{name:20} {totals}  {figures}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
