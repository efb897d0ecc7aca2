"""Kinds of models that are saved, tiny, and all that one of them is."""

from __future__ import annotations

import keras
import numpy as np

from workbench import models
from workbench.backbones.adapter import LowRank


def make(tied=False, seed=0, preprocessor=None, **arguments):
    keras.utils.set_random_seed(seed)
    shape = {"vocabulary_size": 257, "num_layers": 1, "hidden_dim": 16, "intermediate_dim": 16}
    shape |= arguments
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
        b = random.normal(0, 0.3, update.b.shape).astype("float32")
        made.updates[path] = LowRank(update.a, b, update.scale)
    lm.adapters[name] = made


def captain(lm, seed):
    add(lm, "captain", seed, rank=2, alpha=6)


def two(lm, seed):
    captain(lm, seed)
    add(lm, "robot", seed + 1, rank=3, targets=["key", "output"], dropout=0.1)


# Whether a model's logits are of its table of embeddings, and what is done with it.
KINDS = {
    "plain": (False, lambda lm, seed: None),
    "tied": (True, lambda lm, seed: None),
    "lora": (False, captain),
    "merged": (False, lambda lm, seed: (captain(lm, seed), lm.adapters.merge())),
    "two, one active": (True, two),
    "two, one merged": (True, lambda lm, seed: (two(lm, seed), lm.adapters.merge())),
    "two, none active": (False, lambda lm, seed: (two(lm, seed), lm.adapters.use(None))),
    "int8": (False, lambda lm, seed: lm.quantize("int8")),
    "tied int4": (True, lambda lm, seed: lm.quantize("int4")),
    "tied int8, lora": (True, lambda lm, seed: (lm.quantize("int8"), captain(lm, seed))),
    "int4, two": (False, lambda lm, seed: (lm.quantize("int4"), two(lm, seed))),
}


def of_kind(kind, seed=0):
    tied, change = KINDS[kind]
    lm = make(tied, seed)
    change(lm, seed)
    return lm


def state(lm):
    """All that a model is, but for how it trains."""
    adapters = lm.adapters
    told = {"mode": lm.backbone.quantization, "active": adapters.active, "merged": adapters.merged}
    told |= {v.path: (v.trainable, *told_value(v.value)) for v in lm.backbone.weights}
    told |= {("replaced", p): told_value(kernel) for p, kernel in adapters.replaced.items()}
    for name, adapter in adapters.items():
        told[name] = adapter.config
        told |= {(name, p): tuple(map(told_value, u)) for p, u in adapter.updates.items()}
    return told


def told_value(value):
    value = np.asarray(value)
    return value.dtype.name, value.shape, value.tobytes()
