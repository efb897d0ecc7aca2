"""A picture, its prompt and an answer: workbench beside KerasHub and Transformers.

    python tests/bench/pali_gemma.py [--rounds 3] [--peers PYTHON] [--layers 12]

Makes a PaliGemma of random float32 parameters (encoder of 12 layers, width 384, patches of 14 in
224 x 224 pixels; decoder of 12 layers, width 768, vocabulary 32,000) in a temporary folder, in the
files of either library, and runs each library on it in processes of their own, one after the other
in turn. `--peers` is a Python that has keras-hub, transformers and torch; without it only the
workbench runs. The figures are medians over the rounds, and what they are times the workbench's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from processes import Figures, collect, report

COLUMNS = {
    "encode": "picture encoded, s",
    "first": "first token, s",
    "decode": "decode tok/s",
    "peak": "peak memory / weights",
}
RUNNERS = {
    "Transformers": ("transformers", "pali_gemma_transformers_runner.py"),
    "KerasHub": ("keras_hub", "pali_gemma_kerashub_runner.py"),
}


def make_model(folder: Path, layers: int) -> None:
    """The model in KerasHub's files and in Transformers'."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    import workbench as wb

    keras.utils.set_random_seed(0)
    backbone = wb.models.PaliGemmaBackbone(
        vocabulary_size=32_000,
        image_size=224,
        num_layers=layers,
        num_query_heads=6,
        num_key_value_heads=1,
        hidden_dim=768,
        intermediate_dim=2 * 3072,
        head_dim=128,
        vit_patch_size=14,
        vit_num_heads=6,
        vit_hidden_dim=384,
        vit_num_layers=layers,
        vit_intermediate_dim=1536,
        dtype="float32",
    )
    lm = wb.models.PaliGemmaCausalLM(backbone=backbone, preprocessor=None)
    lm.save_to_preset(folder / "keras_hub")
    lm.export_to_transformers(folder / "transformers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="a Python with keras-hub, transformers and torch")
    parser.add_argument("--layers", type=int, default=12, help="of the encoder and the decoder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_model(folder, options.layers)
        runs = {"workbench": (sys.executable, "pali_gemma_workbench_runner.py", "keras_hub")}
        if options.peers:
            runs |= {name: (options.peers, file, kind) for name, (kind, file) in RUNNERS.items()}
        results: dict[str, list[Figures]] = {}
        for _ in range(options.rounds):
            for name, (python, script, kind) in runs.items():
                collect(results, name, python, script, folder / kind, folder / "cache")
    report(results, COLUMNS)


if __name__ == "__main__":
    main()
