"""Kinds of models by Keras's ways of saving: what is read is what was written, bit by bit."""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest
from tiny import byte_tokenizer

from workbench import models
from workbench.backbones.adapter import LowRank
from workbench.errors import AdapterError, PresetError, SettingError

# Keras, when it writes an optimizer.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def make(tied=False, seed=0, preprocessor=None):
    keras.utils.set_random_seed(seed)
    shape = {"vocabulary_size": 257, "num_layers": 1, "hidden_dim": 16, "intermediate_dim": 16}
    if tied:
        backbone = models.GPT2Backbone(**shape, num_heads=2, max_sequence_length=32)
        return models.GPT2CausalLM(backbone, preprocessor)
    backbone = models.LlamaBackbone(**shape, num_query_heads=2, num_key_value_heads=1)
    return models.LlamaCausalLM(backbone, preprocessor)


def add(lm, name, seed, **settings):
    """An active adapter whose updates matter."""
    made = lm.adapters.add(name, seed=seed, **settings)
    random = np.random.default_rng(seed)
    for path, update in made.updates.items():
        made.updates[path] = LowRank(
            update.a, random.normal(0, 0.3, update.b.shape).astype("float32"), update.scale
        )
    lm.adapters[name] = made


def captain(lm, seed):
    add(lm, "captain", seed, rank=2, alpha=6)


def two(lm, seed):
    captain(lm, seed)
    add(lm, "robot", seed + 1, rank=3, targets=["gate", "output"], dropout=0.1)


KINDS = {
    "plain": lambda lm, seed: None,
    "lora": captain,
    "merged": lambda lm, seed: (captain(lm, seed), lm.adapters.merge()),
    "two adapters": two,
    "two, one merged": lambda lm, seed: (two(lm, seed), lm.adapters.merge()),
    "two, none active": lambda lm, seed: (two(lm, seed), lm.adapters.use(None)),
    "int8": lambda lm, seed: lm.quantize("int8"),
    "int4": lambda lm, seed: lm.quantize("int4"),
    "int8 and lora": lambda lm, seed: (lm.quantize("int8"), captain(lm, seed)),
    "int4 and lora": lambda lm, seed: (lm.quantize("int4"), captain(lm, seed)),
}


def of_kind(kind, seed=0, tied=False):
    lm = make(tied, seed)
    KINDS[kind](lm, seed)
    return lm


def read_weights(name, **settings):
    def way(lm, other, folder):
        lm.save_weights(folder / name, **settings)
        other().load_weights(folder / name)
        return other()

    return way


def checkpoint(name, weights_only):
    def way(lm, other, folder):
        path = str(folder / name)
        callback = keras.callbacks.ModelCheckpoint(path, save_weights_only=weights_only)
        callback.set_model(lm)
        callback.on_epoch_end(0, {})
        if not weights_only:
            return keras.saving.load_model(path)
        other().load_weights(path)
        return other()

    return way


def backup(lm, other, folder):
    for model, moment in ((lm, "on_epoch_end"), (other(), "on_train_begin")):
        callback = keras.callbacks.BackupAndRestore(str(folder / "backup"))
        callback.set_model(model)
        getattr(callback, moment)(*(0,) * (moment == "on_epoch_end"))
    return other()


def saved(save, name):
    def way(lm, other, folder):
        save(lm, folder / name)
        return keras.saving.load_model(folder / name)

    return way


def weights_of_a_model(lm, other, folder):
    lm.save(folder / "lm.keras")
    other().load_weights(folder / "lm.keras")
    return other()


WAYS = {
    "save_weights": read_weights("lm.weights.h5"),
    "sharded": read_weights("lm.weights.json", max_shard_size=1),
    "save": saved(lambda lm, path: lm.save(path), "lm.keras"),
    "save_model": saved(keras.saving.save_model, "lm.keras"),
    "folder": saved(lambda lm, path: lm.save(path, zipped=False), "lm"),
    "weights of a model": weights_of_a_model,
    "ModelCheckpoint of weights": checkpoint("lm.weights.h5", True),
    "ModelCheckpoint": checkpoint("lm.keras", False),
    "BackupAndRestore": backup,
    "pickle": lambda lm, other, folder: pickle.loads(pickle.dumps(lm)),
    "deepcopy": lambda lm, other, folder: copy.deepcopy(lm),
    "copy": lambda lm, other, folder: copy.copy(lm),
}


def state(lm):
    """All that a model is, but for how it trains."""
    adapters = lm.adapters
    told = {"mode": lm.backbone.quantization, "active": adapters.active, "merged": adapters.merged}
    told |= {v.path: _bytes(v.value) for v in lm.backbone.weights}
    told |= {("kernel", path): _bytes(value) for path, value in adapters.replaced.items()}
    for name, adapter in adapters.items():
        told[name] = adapter.config
        told |= {(name, p): tuple(map(_bytes, u)) for p, u in adapter.updates.items()}
    return told


def _bytes(value):
    value = np.asarray(value)
    return value.dtype.name, value.shape, value.tobytes()


@pytest.fixture(scope="module", params=[(k, t) for k in KINDS for t in (False, True)], ids=str)
def case(request):
    """A model, and the way to one of its kind with other numbers: the same each time."""
    kind, tied = request.param
    others = [of_kind(kind, 9, tied)]
    return of_kind(kind, 0, tied), lambda: others[0]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_read_is_what_was_written(case, way, tmp_path):
    lm, other = case
    before = state(lm)
    read = WAYS[way](lm, other, tmp_path)
    assert type(read) is type(lm)
    assert read is not lm
    assert state(read) == state(lm) == before
