"""Writes a preset folder in KerasHub's layout; the write is atomic."""

from __future__ import annotations

import datetime
import functools
import itertools
import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones.adapter import LowRank
from workbench.backbones.all_or_nothing import unchanging
from workbench.backbones.backbone import Backbone
from workbench.backbones.consistency import check_consistent
from workbench.backbones.layers.low_rank import merged
from workbench.backbones.weights import Rule, expand, repeats, rules_for, stored
from workbench.errors import PresetError
from workbench.families.registry import Family, family_of
from workbench.formats.hdf5 import INDEX, WHOLE
from workbench.formats.hdf5_writer import write_file, write_sharded, write_whole
from workbench.formats.integer_rules import KERNEL, TABLE, integer_rules
from workbench.formats.policies import FLOAT_POLICIES
from workbench.formats.tensors import INTEGERS, STORED
from workbench.presets.folders.objects import write_object
from workbench.presets.saved_folder import Weights, saving
from workbench.storage.files import (
    ASSETS,
    CHAT_TEMPLATE,
    CONFIG,
    CONVERTERS,
    METADATA,
    PREPROCESSOR,
    TASK,
    TASK_WEIGHTS,
    TOKENIZER,
)
from workbench.tasks.task import Task
from workbench.tokenizers import Tokenizer
from workbench.tokenizers.tokenizer_classes import as_family_class
from workbench.version import __version__

_GIGABYTE = 2**30
_ROOM = 4 * 2**20  # for everything except the weights
_WEIGHTS = Weights(WHOLE, INDEX, ".weights.h5")
_OF_PREPROCESSOR = (PREPROCESSOR, TOKENIZER, CHAT_TEMPLATE, *CONVERTERS.values())

Values = Mapping[str, Callable[[], np.ndarray]]


def save_preset(saved: Any, folder: str | Path, max_shard_size: float | None = 10) -> None:
    """Write a task, backbone, preprocessor or tokenizer as a preset folder.

    An existing folder keeps everything except a preset saved there before: notes, other weights, a
        repository. If you later edit a file by hand, delete its line in the table of digests,
        `workbench.sha256`; otherwise loading refuses the preset.

    A tokenizer from a Transformers folder is written as its family's class if that gives the same
    ids, otherwise in its own form, which KerasHub does not read.

    Args:
        saved: the object to save. LoRA updates are merged into the written weights.
        folder: the folder to create or replace.
        max_shard_size: the largest weight file in gigabytes; None writes one file.

    Raises:
        PresetError: the folder cannot be written, or the disk is too small; an old folder stays
            unchanged.
    """
    plan = _Plan()
    plan.add(saved)
    if plan.backbone is None:
        plan.write(folder, 0, lambda new: None)
        return
    values = weight_values(plan.backbone)
    size = sum(math.prod(v.shape) * jnp.dtype(v.dtype).itemsize for v in plan.backbone.weights)
    arguments = plan.backbone.arguments
    family = family_of(type(plan.backbone))
    rules = expand(rules_for(family.keras_hub, arguments), repeats(arguments))
    rules |= _rules_of_integers(rules, plan.backbone)

    def write_weights(new: Path) -> None:
        constants = family.keras_hub_constants(arguments)
        tensors = itertools.chain(stored(rules, values), constants.items())
        if max_shard_size is None or size <= max_shard_size * _GIGABYTE:
            write_whole(new, tensors)
        else:
            write_sharded(new, tensors, max_shard_size * _GIGABYTE)
        if plan.head:
            head = expand(rules_for(family.keras_hub_head_rules, arguments), 1)
            write_file(new / TASK_WEIGHTS, stored(head, plan.head))
        _write_json(new / METADATA, _metadata(plan.backbone))

    plan.write(folder, size, write_weights)


def _rules_of_integers(rules: Mapping[str, Rule], backbone: Any) -> dict[str, Rule]:
    mode = backbone.quantization
    if mode is None:
        return {}
    held = [
        weight.path
        for weight in backbone.weights
        if weight.dtype in INTEGERS and weight.path.endswith((KERNEL, TABLE))
    ]
    return integer_rules(rules, mode, held, {weight.path for weight in backbone.weights})


class _Plan:
    """The content of the folder: JSON objects, a tokenizer's vocabulary, a backbone's weights."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.tokenizer: Tokenizer | None = None
        self.backbone: Any = None
        self.head: Values = {}
        self.replaces_preprocessor = False

    def add(self, saved: Any) -> None:
        if isinstance(saved, Tokenizer):
            self._add_tokenizer(saved)
        elif isinstance(saved, Task):
            self._add_task(saved, family_of(type(saved.backbone)))
        elif isinstance(saved, Backbone):
            self._add_backbone(saved, family_of(type(saved)))
        else:
            self._add_preprocessor(saved, family_of(type(saved)))

    def _add_task(self, task: Any, family: Family) -> None:
        self._add_backbone(task.backbone, family)
        self.replaces_preprocessor = True
        if task.preprocessor is not None:
            self._add_preprocessor(task.preprocessor, family)
        parts = {"backbone": self.objects[CONFIG], "preprocessor": self.objects.get(PREPROCESSOR)}
        self.objects[TASK] = write_object(family.task, task.head_config(), dtype=None, parts=parts)
        self.head = head_values(task)

    def _add_backbone(self, backbone: Any, family: Family) -> None:
        dtype = backbone.dtype_policy.name
        if dtype not in FLOAT_POLICIES or {v.dtype for v in backbone.weights} - STORED.keys():
            raise PresetError(f"{backbone.name}: weights of these dtypes cannot be saved")
        self.backbone = backbone
        parts = {name: _written(backbone.arguments[name], dtype) for name in family.parts}
        self.objects[CONFIG] = write_object(
            family.backbone,
            _settings(backbone, family.parts),
            dtype=backbone.quantization or dtype,
            parts=parts,
        )
        if family.keras_hub_dtype_by_name and backbone.quantization is None:
            self.objects[CONFIG]["config"]["dtype"] = dtype

    def _add_preprocessor(self, preprocessor: Any, family: Family) -> None:
        self._add_tokenizer(_best_tokenizer(preprocessor.tokenizer, family))
        converters = {n: _written(preprocessor.converter(n), "float32") for n in family.converters}
        self.objects |= {CONVERTERS[name]: made for name, made in converters.items() if made}
        self.objects[PREPROCESSOR] = write_object(
            family.preprocessor,
            {"config_file": PREPROCESSOR, **_settings(preprocessor, family.converters)},
            dtype="float32",
            parts={"tokenizer": self.objects[TOKENIZER], **converters},
        )

    def _add_tokenizer(self, tokenizer: Tokenizer) -> None:
        config = {**_settings(tokenizer), "config_file": TOKENIZER}
        self.tokenizer = tokenizer
        self.objects[TOKENIZER] = write_object(type(tokenizer), config, dtype="int32")
        self.replaces_preprocessor = True

    def write(self, folder: str | Path, size: int, weights: Callable[[Path], None]) -> None:
        old_weights = None if self.backbone is None else _WEIGHTS
        with saving(folder, size + _ROOM, self._supersedes, old_weights) as new:
            for name, content in self.objects.items():
                _write_json(new / name, content)
            if self.tokenizer is not None:
                place = new / ASSETS / "tokenizer"
                place.mkdir(parents=True)
                self.tokenizer.save_assets(place)
                _write_chat_template(new, self.tokenizer)
            weights(new)

    def _supersedes(self, name: str) -> bool:
        """Return whether to remove a file saved before. A saved tokenizer alone keeps the old
        model, and a backbone alone keeps the old tokenizer."""
        of_preprocessor = name in _OF_PREPROCESSOR or name.startswith(f"{ASSETS}/")
        return self.replaces_preprocessor if of_preprocessor else self.backbone is not None


def _write_chat_template(folder: Path, tokenizer: Tokenizer) -> None:
    if tokenizer.chat_template is not None:
        text = tokenizer.chat_template
        (folder / CHAT_TEMPLATE).write_text(text, encoding="utf-8", newline="")


def _best_tokenizer(tokenizer: Tokenizer, family: Family) -> Tokenizer:
    try:
        return as_family_class(tokenizer, family.tokenizer)
    except PresetError:
        return tokenizer


def _settings(saved: Any, parts: Collection[str] = ()) -> dict[str, Any]:
    """Return an object's own settings, without its parts."""
    dropped = {"name", "trainable", "dtype", "tokenizer", "adapters", *parts}
    return {k: v for k, v in saved.get_config().items() if k not in dropped}


def _written(part: Any, dtype: str) -> dict[str, Any] | None:
    return None if part is None else write_object(type(part), _settings(part), dtype=dtype)


def weight_values(backbone: Any) -> Values:
    """Return functions by weight name; each gives a numpy array with the active adapter merged.

    Raises:
        PresetError: an adapter is active and the weights are integers, or a change of the model was
            interrupted.
    """
    with unchanging(backbone):
        check_consistent(backbone)
        values = {v.path: functools.partial(np.asarray, v.value) for v in backbone.weights}
        live = backbone.adapters.live
        if live and backbone.quantization is not None:
            raise PresetError(
                f"{backbone.name}: expected no active adapter, which {backbone.quantization} "
                "weights cannot take in: keep it with adapters.save(), and save the preset after "
                "adapters.use(None)"
            )
        for path, layer in live.items():
            kernel, update = layer.kernel.value, layer.in_use  # as it is now; merged later
            values[f"{path}/kernel"] = functools.partial(_merged, kernel, update.low_rank)
            for variable in update.weights:
                del values[variable.path]
    return values


def _merged(kernel: jax.Array, update: LowRank) -> np.ndarray:
    return np.asarray(merged(kernel, update))


def head_values(task: Any) -> Values:
    """Return functions by name for the weights of a task outside its backbone; each gives a numpy
    array."""
    own = {id(variable) for variable in task.backbone.weights}
    weights = (v for v in task.weights if id(v) not in own)
    return {v.path: functools.partial(np.asarray, v.value) for v in weights}


def _metadata(backbone: Any) -> dict[str, Any]:
    return {
        "keras_version": keras.__version__,
        "workbench_version": __version__,
        "parameter_count": backbone.count_params() - backbone.adapters.live_parameters,
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "tasks": ["CausalLM"],
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=4), encoding="utf-8")
