"""Backbones, adapters and damaged files for the tests of adapters' files."""

from __future__ import annotations

import functools
import json
import math

import numpy as np
from tiny import GOLDENS

from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank
from workbench.backbones.weights import Quantization, loading
from workbench.errors import WorkbenchError
from workbench.presets.adapters.adapter_modules import kernels
from workbench.presets.folders.keras_hub import KerasHubFolder
from workbench.presets.folders.transformers import TransformersFolder
from workbench.tasks.task import Task

LORA = GOLDENS.parent / "lora"
ATTENTION = ("query", "key", "value", "output")
EVERY = (*ATTENTION, "gate", "up", "down")


class _Zeros:
    """Stands in for a weight file: random numbers take much longer than the rest."""

    def initializer(self, name):
        return lambda shape, dtype=None: np.zeros(shape, dtype or "float32")

    def quantization(self, name):
        return Quantization(None, None)


@functools.cache
def _bare(folder, arguments):
    if (folder / "preprocessor.json").exists() or (folder / "metadata.json").exists():
        preset = KerasHubFolder(folder)
    else:
        preset = TransformersFolder(folder, json.loads((folder / "config.json").read_text()), Task)
    values = preset.backbone_arguments() | json.loads(arguments)
    with loading(_Zeros()):
        return preset.family.backbone(**values | {"dtype": "float32"})


def bare(folder, **arguments):
    """The backbone of a golden preset, all weights zero; `folder` such as "hf/llama"."""
    return _bare(GOLDENS / folder, json.dumps(arguments))


def bare_integers(folder, mode):
    """The same, its matrices as integers."""
    backbone = _bare.__wrapped__(GOLDENS / folder, "{}")
    backbone.quantize(mode)
    return backbone


def random_adapter(backbone, targets, rank=3, scale=2.0, seed=0, only=""):
    """Random updates of the projections with these names, and `only` in their paths."""
    chance = np.random.default_rng(seed)
    updates = {
        path: LowRank(
            chance.standard_normal((rank, math.prod(inputs)), np.float32),
            chance.standard_normal((math.prod(outputs), rank), np.float32),
            scale,
        )
        for path, (outputs, inputs) in kernels(backbone).items()
        if path.rpartition("/")[2] in targets and only in path
    }
    return Adapter(AdapterConfig(rank, scale * rank, 0.0, tuple(targets)), updates)


def same_updates(one, other):
    """Every number of two adapters is the same, bit for bit."""
    assert one.updates.keys() == other.updates.keys()
    for path, update in one.updates.items():
        again = other.updates[path]
        assert update.scale == again.scale, path
        np.testing.assert_array_equal(update.a, again.a, err_msg=path)
        np.testing.assert_array_equal(update.b, again.b, err_msg=path)


def same_deltas(one, other, rounding=2e-6):
    """Two adapters do the same to a model, up to float32's rounding."""
    assert one.updates.keys() == other.updates.keys()
    for path, update in one.updates.items():
        wanted = update.delta
        off = np.abs(other.updates[path].delta - wanted).max()
        assert off <= rounding * max(np.abs(wanted).max(), 1e-9), path


def refused(read, error=WorkbenchError):
    """Whether a file is refused by name; what it raises otherwise comes through."""
    try:
        read()
    except error as raised:
        assert 0 < len(str(raised)) <= 2000
        return True
    return False
