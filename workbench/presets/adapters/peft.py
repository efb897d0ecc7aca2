"""Adapters in PEFT folders: `adapter_config.json` and `adapter_model.safetensors`.

The tensors `base_model.model.<module>.lora_A.weight` (rank, inputs) and `.lora_B.weight`
(outputs, rank) belong to a module of the Transformers model; the families' weight rules name it.
The reader checks everything against the model. The writer uses the names of Transformers 5, and
PEFT reads its folders without further arguments.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank
from workbench.backbones.backbone import Backbone
from workbench.backbones.weights import Rule, expand, repeats, rules_for
from workbench.errors import AdapterError, PresetError
from workbench.families.registry import family_of, transformers_of
from workbench.formats.safetensors import SafetensorsFile
from workbench.formats.safetensors_writer import write_safetensors
from workbench.formats.tensors import TensorSource
from workbench.formats.transformers_config import Transformers
from workbench.presets.adapters.adapter_modules import Module, check_updates, modules
from workbench.presets.adapters.adapter_tensors import Tensors
from workbench.presets.adapters.peft_config import CONFIG, PeftConfig, parse_config
from workbench.presets.folders.manifest import Manifest
from workbench.presets.saved_folder import saving
from workbench.storage.files import ADAPTER_CHECKSUMS
from workbench.storage.json_files import MAX_CONFIG, read_json
from workbench.storage.paths import has_file, preset_file
from workbench.storage.readers import reading

WEIGHTS = "adapter_model.safetensors"
PICKLED = "adapter_model.bin"

_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
_WEIGHT = ".weight"
_ROOM = 2**20  # for the configuration and the header


def read_peft(folder: str | Path, backbone: Backbone) -> Adapter:
    """Read a PEFT folder as an adapter for this backbone.

    Names may have the prefix of the base model or not, and may be those of Transformers before
    version 5. If one of their modules holds several of our projections, each gets its rows of B
    and, unless `write_peft` joined them, the whole of A.

    Args:
        folder: a folder with `adapter_config.json` and `adapter_model.safetensors`.
        backbone: the model it is for; it stays unchanged.

    Returns:
        The adapter with its updates in float32; bit for bit those of a float32 file.

    Raises:
        AdapterError: a file is missing or malformed; the adapter is not LoRA of projections, or
            belongs to another model. The message counts all problems and lists the first 20.
    """
    folder = Path(os.path.expanduser(folder))
    try:
        with reading(folder):
            return _read(folder, backbone)
    except PresetError as error:
        raise AdapterError(str(error)) from error


def write_peft(adapter: Adapter, folder: str | Path, backbone: Backbone) -> None:
    """Write an adapter as a PEFT folder; the write is atomic.

    If a Transformers module holds several of our projections, their updates become one: with the
        shared A if all have the same, otherwise with the sum of their ranks. Ranks and alphas that
        differ between modules go into `rank_pattern` and `alpha_pattern`.

    Args:
        adapter: an adapter that fits the backbone.
        folder: the folder to create; in an old one only the adapter is replaced.
        backbone: the model it is for.

    Raises:
        AdapterError: Transformers has no such model, or the model has no such module.
        PresetError: the folder cannot be written; an old folder stays unchanged.
    """
    files = _files(backbone)
    every = _modules(backbone, files)
    table = {name: module for name, module in every.items() if not _is_router(module)}
    check_updates(adapter, table, "Transformers")
    joined = {
        name: module.join(adapter.updates)
        for name, module in table.items()
        if module.holds(adapter)
    }
    targets = _targets(joined, {*every, *_experts(backbone, files)})
    config = _config(adapter, joined, targets, files) | _orientation(joined, table)
    size = sum(update.a.nbytes + update.b.nbytes for update in joined.values())
    with saving(folder, size + _ROOM, table=ADAPTER_CHECKSUMS) as new:
        text = json.dumps(config, indent=2, sort_keys=True)
        (new / CONFIG).write_text(text + "\n", encoding="utf-8")
        write_safetensors(new / WEIGHTS, _tensors(joined))


def _read(folder: Path, backbone: Backbone) -> Adapter:
    if not has_file(folder, CONFIG):
        raise AdapterError(f"{folder}: expected a PEFT folder with {CONFIG}, found none")
    manifest = Manifest(folder, ADAPTER_CHECKSUMS)
    manifest.check()
    config = parse_config(read_json(preset_file(folder, CONFIG), MAX_CONFIG))
    if not has_file(folder, WEIGHTS):
        more = f"; {PICKLED} is not read" if has_file(folder, PICKLED) else ""
        raise AdapterError(f"{folder}: expected {WEIGHTS}, found none{more}")
    with closing(SafetensorsFile(preset_file(folder, WEIGHTS))) as source, manifest.checked():
        updates = _Reader(source, config, backbone).updates()
    targets = tuple(dict.fromkeys(path.rpartition("/")[2] for path in updates))
    scale = config.alpha / (math.sqrt(config.rank) if config.by_root else config.rank)
    own = AdapterConfig(config.rank, scale * config.rank, config.dropout, targets)
    return Adapter(own, updates, config.base)


class _Reader:
    """Reads every tensor of a file once and collects problems."""

    def __init__(self, source: TensorSource, config: PeftConfig, backbone: Backbone) -> None:
        self.config = config
        self._tensors = Tensors(source)
        self._by_name = {
            name: module
            for module in _modules(backbone, _files(backbone)).values()
            for name in map(_module_name, module.places[0].rule.names)
        }

    def updates(self) -> dict[str, LowRank]:
        """Return our updates by path."""
        found: dict[str, LowRank] = {}
        seen: dict[str, str] = {}
        for name in self._named():
            module = self._by_name.get(name)
            if module is None:
                self._tensors.problem(name, "the name of a projection", "another module")
            elif seen.setdefault(module.name, name) != name:
                self._tensors.problem(name, "each module once", f"{seen[module.name]} as well")
            else:
                found |= self._update(name, module)
        self._tensors.finish()
        return found

    def _named(self) -> list[str]:
        """Return the modules that have an A or a B, in file order; note other tensors as
        problems."""
        named = {}
        for tensor in self._tensors.names():
            end = next((end for end in (_A, _B) if tensor.endswith(end)), None)
            if end is None or not tensor.startswith(_PREFIX):
                expected = f"{_PREFIX}<module>{_A} or {_B}"
                self._tensors.problem(tensor, expected, _kind(tensor))
            else:
                named[tensor.removeprefix(_PREFIX).removesuffix(end)] = None
        return list(named)

    def _update(self, name: str, module: Module) -> dict[str, LowRank]:
        """Convert a module's two tensors to our updates; return none if they do not fit."""
        rank = self.config.rank_of(name)
        a = self._tensors.take(_PREFIX + name + _A, (rank, module.inputs))
        b = self._tensors.take(_PREFIX + name + _B, (module.outputs, rank))
        if a is None or b is None:
            return {}
        return module.split(LowRank(a, b, self.config.scale_of(name)))


def _kind(tensor: str) -> str:
    """Describe a tensor that is not an update of a projection."""
    kinds = {
        "lora_embedding_": "an update of an embedding",
        "lora_magnitude_vector": "a magnitude of DoRA",
        "modules_to_save": "a module trained whole",
        ".bias": "a bias",
    }
    return next((kind for part, kind in kinds.items() if part in tensor), "another tensor")


def _files(backbone: Backbone) -> Transformers:
    """Return how Transformers stores such a backbone.

    Raises:
        AdapterError: Transformers has no such model.
    """
    try:
        return transformers_of(family_of(type(backbone)), backbone.arguments)
    except PresetError as error:
        raise AdapterError(f"PEFT works on models of Transformers: {error}") from error


def _modules(backbone: Backbone, files: Transformers) -> dict[str, Module]:
    """Return the Transformers 5 modules that hold our projections, by name."""
    return modules(backbone, files.rules, _written_name)


def _written_name(rule: Rule) -> str | None:
    """Return the Transformers 5 module of a weight; None if it belongs to no such module.

    Image-text models have everything below `model.` since version 5; their files may also have
    older names.
    """
    if not rule.names[0].endswith(_WEIGHT):
        return None
    below = [name for name in rule.names if name.startswith("model.")]
    return _module_name(min(below, key=len) if below else rule.names[0])


def _is_router(module: Module) -> bool:
    """Return whether a module is a router of experts; since version 5 PEFT does not adapt
    routers."""
    return module.places[0].path.endswith("/router")


def _module_name(tensor: str) -> str:
    return tensor.removesuffix(_WEIGHT)


def _config(
    adapter: Adapter, joined: Mapping[str, LowRank], targets: list[str], files: Transformers
) -> dict[str, Any]:
    """Return the content of `adapter_config.json`: the most frequent rank and alpha, and
    exceptions."""
    ranks = {name: update.rank for name, update in joined.items()}
    alphas = {name: _plain(update.scale * update.rank) for name, update in joined.items()}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if files.architecture.endswith(_CAUSAL) else None,
        "base_model_name_or_path": _hub_name(adapter.base),
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": adapter.config.dropout,
        "rank_pattern": {name: r for name, r in ranks.items() if r != rank},
        "alpha_pattern": {name: a for name, a in alphas.items() if a != alpha},
        "target_modules": targets,
        "bias": "none",
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "layers_to_transform": None,
        "layers_pattern": None,
    }


_CAUSAL = ("ForCausalLM", "LMHeadModel")


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number


def _orientation(joined: Mapping[str, LowRank], table: Mapping[str, Module]) -> dict[str, bool]:
    """Return, as a setting, whether the modules' weights are (inputs, outputs), as in GPT-2."""
    places = [table[name].places[0] for name in joined]
    return {"fan_in_fan_out": all(place.theirs[0] == place.input_letters for place in places)}


def _hub_name(base: str | None) -> str | None:
    return None if base is None else base.removeprefix("hf://")


def _targets(joined: Collection[str], every: Collection[str]) -> list[str]:
    """Return the last parts of the modules' names, or whole names if those match other modules
    too."""
    others = {_last(name) for name in every if name not in joined}
    short = {_last(name) for name in joined}
    return sorted(joined if short & others else short)


def _experts(backbone: Backbone, files: Transformers) -> set[str]:
    """Return the names of the experts' modules, which cannot have an update of a projection."""
    arguments = backbone.arguments
    rules = expand(rules_for(files.rules, arguments), repeats(arguments)).values()
    return {_module_name(rule.names[0]) for rule in rules if rule.by_expert}


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _tensors(joined: Mapping[str, LowRank]) -> dict[str, np.ndarray]:
    tensors = {}
    for name, update in joined.items():
        tensors[_PREFIX + name + _A] = np.ascontiguousarray(update.a, np.float32)
        tensors[_PREFIX + name + _B] = np.ascontiguousarray(update.b, np.float32)
    return tensors
