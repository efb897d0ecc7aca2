"""The same trainer over every kind of system: pictures, encoders, mixtures, narrow dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import GOLDENS

from workbench.data.batches import Batches
from workbench.data.reading import read_examples
from workbench.errors import SettingError
from workbench.models import CausalLM
from workbench.tuning.settings import TuneSettings
from workbench.tuning.trainer import Trainer

PICTURES = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3)).astype("uint8")
SENTENCES = ["the quick brown fox", "the earth is round"]
DATA = {
    "keras_hub/llama": SENTENCES,
    "keras_hub/qwen_moe": SENTENCES,
    "keras_hub/pali_gemma": {
        "images": list(PICTURES),
        "prompts": ["the", "the fox"],
        "responses": ["the earth", "round"],
    },
    "keras_hub/t5gemma": {"encoder_text": SENTENCES, "decoder_text": SENTENCES[::-1]},
}


def losses(name, dtype="float32", steps=6, **settings):
    """The model, its trainer, and the losses of some steps over one batch."""
    lm = CausalLM.from_preset(str(GOLDENS / name), dtype=dtype)
    lm.adapters.add("a", rank=2, seed=0)
    planned = TuneSettings(steps=steps, learning_rate=0.02, warmup_steps=0, **settings).planned(1)
    trainer = Trainer(lm, planned)
    batches = Batches(read_examples(DATA[name], lm), batch_size=2, length=16)
    return [trainer.step([batches.batch(step)]).loss for step in range(steps)]


@pytest.mark.parametrize("name", DATA)
def test_every_kind_of_system_learns(name):
    found = losses(name)
    assert found[-1] < found[0] - 0.05 and np.isfinite(found).all()


def test_activations_are_computed_again_in_mixtures_too():
    name = "keras_hub/qwen_moe"  # whose layers add losses of their own
    np.testing.assert_allclose(losses(name), losses(name, remat=True), atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16", "int8", "int4"])
def test_narrow_bases_learn_alike(dtype):
    wide, narrow = losses("keras_hub/llama"), losses("keras_hub/llama", dtype=dtype)
    assert narrow[-1] < narrow[0] - 0.05
    np.testing.assert_allclose(narrow, wide, atol=0.3 if dtype == "int4" else 0.1)


def test_models_that_learn_in_a_way_of_their_own_are_refused():
    lm = CausalLM.from_preset(str(GOLDENS / "keras_hub" / "parseq"), dtype="float32")
    lm.adapters.add("a", rank=2)
    with pytest.raises(SettingError, match="is trained with fit"):
        Trainer(lm, TuneSettings(steps=1).planned(1))
