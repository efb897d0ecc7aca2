"""KerasHub reads what is saved here, for every family; runs where KerasHub is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb

FOLDER = GOLDENS / "keras_hub"
PRESETS = [
    *(
        "bart",
        "bloom",
        "falcon",
        "gemma",
        "gemma2",
        "gemma3_text",
        "gpt2",
        "gpt_neo_x",
        "llama",
        "llama3",
    ),
    *("mistral", "mixtral", "opt", "phi3", "phi3_su_long", "qwen", "qwen3", "qwen3_moe"),
    *("qwen_moe", "smollm3", "t5gemma"),
]
# Prints how far KerasHub's outputs from each preset are from those it computed from its own.
PEER = """
import json, sys
from pathlib import Path
import keras_hub
import numpy as np
folder, ours, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
for name in names:
    task = keras_hub.models.CausalLM.from_preset(str(ours / name), dtype="float32")
    golden = np.load(folder / name / "golden.npz")
    inputs = {key[3:]: golden[key] for key in golden.files if key.startswith("in_")}
    mask = inputs.get("padding_mask", inputs.get("decoder_padding_mask")).astype(bool)
    off = np.abs(np.asarray(task(inputs))[mask] - golden["logits"][mask]).max()
    print(json.dumps([name, float(off)]))
"""


@pytest.mark.skipif(importlib.util.find_spec("keras_hub") is None, reason="keras-hub not installed")
def test_keras_hub_computes_the_same_from_what_is_saved_here(tmp_path):
    for name in PRESETS:
        lm = wb.models.CausalLM.from_preset(str(FOLDER / name), dtype="float32")
        lm.save_to_preset(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", PEER, str(FOLDER), str(tmp_path), *PRESETS],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    off = dict(json.loads(line) for line in done.stdout.splitlines())
    assert off.keys() == set(PRESETS)
    assert {name: value for name, value in off.items() if not np.float64(value) < 1e-4} == {}
