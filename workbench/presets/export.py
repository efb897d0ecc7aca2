"""Writes a folder that Transformers loads; the write is atomic."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from workbench.backbones.backbone import Backbone
from workbench.backbones.weights import expand, repeats, rules_for, stored
from workbench.errors import PresetError
from workbench.families.registry import family_of, transformers_of
from workbench.formats.safetensors import INDEX, WHOLE
from workbench.formats.safetensors_writer import write_safetensors
from workbench.presets.folders.transformers_tokenizer import token_ids, write_tokenizer
from workbench.presets.save import Values, head_values, weight_values
from workbench.presets.saved_folder import Weights, saving
from workbench.storage.files import CONFIG, TRANSFORMERS_PREPROCESSOR
from workbench.tasks.task import Task

GENERATION_CONFIG = "generation_config.json"
_WEIGHTS = Weights(WHOLE, INDEX, ".safetensors")
_GIGABYTE = 2**30
_ROOM = 64 * 2**20  # for the tokenizer and the small files


def export_to_transformers(
    saved: Any, folder: str | Path, max_shard_size: float | None = 5
) -> None:
    """Write a task or backbone as a folder in Transformers' layout: `config.json`, safetensors
    and, with a preprocessor, the tokenizer's files.

    An existing folder, such as a clone of a hub repository, keeps everything except files of these
    names, files exported or saved there before, and the weights that an old index lists. LoRA
    updates are merged into the weights.

    Args:
        saved: a task or a backbone.
        folder: the folder to create or replace.
        max_shard_size: the largest weight file in gigabytes; None writes one file.

    Raises:
        PresetError: Transformers has no model of this kind or with these settings, the model is
            quantized, or the folder cannot be written; an old folder stays unchanged.
    """
    backbone = saved.backbone if isinstance(saved, Task) else saved
    preprocessor = saved.preprocessor if isinstance(saved, Task) else None
    if not isinstance(backbone, Backbone):
        raise PresetError(
            f"export_to_transformers: expected a task or a backbone, got {type(saved).__name__}"
        )
    if backbone.quantization is not None:
        raise PresetError(
            f"export_to_transformers: {backbone.name} is quantized to {backbone.quantization}, "
            "which Transformers has no files for: export it before it is quantized"
        )
    family = family_of(type(backbone))
    files = transformers_of(family, backbone.arguments)
    config = {**files.config(backbone.arguments), "dtype": _stored_dtype(backbone)}
    rules = expand(rules_for(files.rules, backbone.arguments), repeats(backbone.arguments))
    values = weight_values(backbone)
    head: Values = head_values(saved) if isinstance(saved, Task) else {}
    if head:
        config |= files.write_head(saved.head_config(), saved.labels)
        rules |= expand(rules_for(files.head_rules, backbone.arguments), 1)
        values = {**values, **head}
    size = sum(np.asarray(variable).nbytes for variable in backbone.weights)

    with saving(folder, size + _ROOM, weights=_WEIGHTS) as new:
        tokenizer = None if preprocessor is None else preprocessor.tokenizer
        ids = token_ids(tokenizer, backbone.config.vocabulary_size)
        ids |= {} if preprocessor is None else preprocessor.generation_ids()
        pictures = {} if preprocessor is None else preprocessor.picture_ids()
        _write_json(new / CONFIG, config | ids | pictures)
        if preprocessor is not None:
            write_tokenizer(new, preprocessor, files.tokenizer_class)
            converted = files.write_preprocessor(preprocessor)
            if converted:
                _write_json(new / TRANSFORMERS_PREPROCESSOR, converted)
            _write_json(new / GENERATION_CONFIG, ids)
        limit = size if max_shard_size is None else max_shard_size * _GIGABYTE
        _write_weights(new, stored(rules, values), limit)


def _stored_dtype(backbone: Backbone) -> str:
    return backbone.dtype_policy.variable_dtype


def _write_weights(folder: Path, tensors: Iterable[tuple[str, np.ndarray]], limit: float) -> None:
    """Write one file, or several with an index if the tensors exceed `limit` bytes."""
    shards: list[list[str]] = []
    total = 0
    for shard in _shards(tensors, limit):
        write_safetensors(folder / f"shard-{len(shards)}", shard)
        shards.append(list(shard))
        total += sum(tensor.nbytes for tensor in shard.values())
    if len(shards) == 1:
        (folder / "shard-0").rename(folder / WHOLE)
        return
    where = {}
    for number, names in enumerate(shards):
        file = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        (folder / f"shard-{number}").rename(folder / file)
        where |= dict.fromkeys(names, file)
    _write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": where})


def _shards(
    tensors: Iterable[tuple[str, np.ndarray]], limit: float
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the tensors in groups of at most `limit` bytes, with one group in memory at a time."""
    shard: dict[str, np.ndarray] = {}
    for name, tensor in tensors:
        held = sum(other.nbytes for other in shard.values())
        if shard and held + tensor.nbytes > limit:
            yield shard
            shard = {}
        shard[name] = np.ascontiguousarray(tensor)
    yield shard


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
