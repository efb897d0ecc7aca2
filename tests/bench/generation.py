"""Load, first token, prefill, decode and memory: workbench beside KerasHub and Transformers.

    python tests/bench/generation.py [--rounds 3] [--peers PYTHON]

Makes a Llama of 134.5 M random float32 parameters (30 layers, width 576, 9 query and 3 key/value
heads, network 1536, vocabulary 49152, tied) in a temporary folder and runs each library on it in
processes of their own, one after the other in turn, so that a machine whose speed drifts is fair
to all. `--peers` is a Python that has keras-hub, transformers and torch; without it only the
workbench runs. The figures are medians over the rounds; `cold` has an empty compilation cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from processes import Figures, collect, report

COLUMNS = {
    "load": "load s",
    "first": "first token s",
    "prefill": "prefill 512 tok/s",
    "decode_72": "decode tok/s, length 72",
    "decode_1024": "decode tok/s, length 1024",
    "peak": "peak memory / weights",
    "peak_over": "peak - 1.15 weights GB",
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def make_model(folder: Path) -> None:
    """A Transformers folder with random weights."""
    import numpy as np
    from safetensors.numpy import save_file

    width, inner, keys = 576, 1536, 192
    draw = np.random.default_rng(0)

    def matrix(*shape: int) -> np.ndarray:
        return (draw.standard_normal(shape, dtype=np.float32) * 0.02).astype(np.float32)

    tensors = {"model.embed_tokens.weight": matrix(49152, width)}
    for i in range(30):
        layer = f"model.layers.{i}."
        tensors[layer + "input_layernorm.weight"] = np.ones(width, np.float32)
        tensors[layer + "post_attention_layernorm.weight"] = np.ones(width, np.float32)
        shapes = {"q": (width, width), "k": (keys, width), "v": (keys, width), "o": (width, width)}
        for name, shape in shapes.items():
            tensors[f"{layer}self_attn.{name}_proj.weight"] = matrix(*shape)
        tensors[layer + "mlp.gate_proj.weight"] = matrix(inner, width)
        tensors[layer + "mlp.up_proj.weight"] = matrix(inner, width)
        tensors[layer + "mlp.down_proj.weight"] = matrix(width, inner)
    tensors["model.norm.weight"] = np.ones(width, np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="a Python with keras-hub, transformers and torch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "llama"
        folder.mkdir()
        make_model(folder)
        results: dict[str, list[Figures]] = {}
        for number in range(options.rounds):
            fresh = Path(scratch) / f"cold{number}"
            runs = {
                "workbench, cold": (sys.executable, "workbench_runner.py", fresh),
                "workbench, warm": (sys.executable, "workbench_runner.py", fresh),
            }
            if options.peers:
                peers = {"Transformers": "transformers_runner.py", "KerasHub": "kerashub_runner.py"}
                runs |= {name: (options.peers, script, fresh) for name, script in peers.items()}
            for name, (python, script, cache) in runs.items():
                collect(results, name, python, script, folder, cache)
    report(results, COLUMNS)


if __name__ == "__main__":
    main()
