"""Every family, spread over eight virtual devices, writes and learns what it does on one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import workbench as wb
from workbench.errors import SettingError

MODELS = [
    f"hf/{name}"
    for name in (
        "bart",
        "bloom",
        "falcon_rope_mqa",  # one key and value head, which no two devices can share
        "gemma",
        "gemma3_text",
        "gpt2",
        "gpt_neox",
        "llama",
        "mistral_window",
        "mixtral",
        "olmo2",
        "opt",
        "phi3",
        "qwen2",
        "qwen2_moe",
        "qwen3",
        "qwen3_moe",
        "smollm3",
        "t5gemma",
    )
]
SCRIPT = Path(__file__).parent / "many_devices.py"


@pytest.mark.parametrize("names", [MODELS[::2], MODELS[1::2]], ids=["even", "odd"])
def test_families_on_eight_devices(names):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *names],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == names


def test_a_mesh_without_the_dimension_is_refused():
    mesh = keras.distribution.DeviceMesh((1,), ("batch",), keras.distribution.list_devices()[:1])
    with pytest.raises(SettingError, match="named 'model'"):
        wb.models.LlamaBackbone.get_layout_map(mesh)
