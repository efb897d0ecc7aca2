"""Every family on eight virtual devices: run by `test_many_devices.py`, in a process of its own.

Prints a line for each model: what it generated and its loss before and after a training step.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np

import workbench as wb

GOLDENS = Path(__file__).parent / "data" / "goldens"


def run(handle: str) -> tuple[wb.models.CausalLM, list[list[int]], list[float]]:
    """A freshly loaded model, what it writes, and its losses before and after a training step."""
    # Else 0 already.
    settings = {"dropout": 0.0} if handle.endswith(("gpt2", "opt", "bart")) else {}
    lm = wb.models.CausalLM.from_preset(handle, dtype="float32", preprocessor=None, **settings)
    width = lm.backbone.config.vocabulary_size
    ids = np.random.default_rng(0).integers(0, width, (8, 12)).astype("int32")
    paired = isinstance(lm, wb.models.Seq2SeqLM)
    prefix = "decoder_" if paired else ""
    arrays = {f"{prefix}token_ids": ids, f"{prefix}padding_mask": np.ones_like(ids)}
    room = {name: np.pad(array, ((0, 0), (0, 4))) for name, array in arrays.items()}
    if paired:
        source = {"encoder_token_ids": ids[:, ::-1], "encoder_padding_mask": np.ones_like(ids)}
        arrays, room = arrays | source, room | source
    made = lm.generate(room, stop_token_ids=None, sampler="greedy")[f"{prefix}token_ids"][:, 12:]
    lm.compile(optimizer=keras.optimizers.SGD(0.05), weighted_metrics=None)
    labels = np.roll(ids, -1, axis=1)
    losses = [float(lm.train_on_batch(arrays, labels, return_dict=True)["loss"]) for _ in range(2)]
    return lm, made.tolist(), losses


def shared_out(lm: wb.models.CausalLM) -> bool:
    """Whether the weights are really split: some kernel lies in pieces on several devices."""
    return any(not weight.value.sharding.is_fully_replicated for weight in lm.backbone.weights)


def main(names: list[str]) -> None:
    devices = keras.distribution.list_devices()
    assert len(devices) == 8, devices
    mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"), devices)
    for name in names:
        handle = str(GOLDENS / name)
        lm, alone_ids, alone_losses = run(handle)
        layout = type(lm.backbone).get_layout_map(mesh)
        spread = keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
        with spread.scope():
            lm, ids, losses = run(handle)
        assert shared_out(lm), name
        assert ids == alone_ids, (name, ids, alone_ids)
        np.testing.assert_allclose(losses, alone_losses, rtol=1e-4, err_msg=name)
        assert losses[1] < losses[0], (name, losses)
        print(name, losses, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
