"""Adapters in KerasHub's `.lora.h5` files.

A file has one rank for all layers. For each layer number it holds `lora_kernel_a` (..., rank) and
`lora_kernel_b` (rank, last axis) of the layer's kernel. Only this module and its table use layer
numbers: the reader converts them to our names at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank
from workbench.backbones.backbone import Backbone
from workbench.backbones.weights import Rule, Shape
from workbench.errors import AdapterError, PresetError, present
from workbench.families.registry import family_of
from workbench.formats.hdf5 import Hdf5File
from workbench.formats.hdf5_writer import write_sealed
from workbench.presets.adapters.adapter_modules import Module, Place, check_updates, modules
from workbench.presets.adapters.adapter_tensors import Tensors
from workbench.presets.adapters.keras_hub_layers import HubLayer, default_targets, hub_layers
from workbench.presets.adapters.low_rank_factors import from_heads, reduced, scaled, to_heads
from workbench.storage.atomic import replacing_file
from workbench.storage.json_files import shown
from workbench.storage.readers import reading

_RANK = "lora/vars/rank"
_TENSOR = re.compile(r"lora/(\d{1,9})/vars/lora_kernel_[ab]")
_A, _B = "lora/{}/vars/lora_kernel_a", "lora/{}/vars/lora_kernel_b"
_FIRST = "/vars/0"
_MAX_RANK = 2**20
_ROOM = 2**20  # for the data that describes the tensors


def read_lora(path: str | Path, backbone: Backbone) -> Adapter:
    """Read a file of KerasHub's `save_lora_weights` as an adapter for this backbone.

    Updates that all heads share become updates of the whole projection, see
    `low_rank_factors.from_heads`. Layers whose two tensors are both zero, which training can never
    change, are left out.

    Args:
        path: the file.
        backbone: the model it is for; it stays unchanged.

    Returns:
        The adapter, with the rank of the file in its configuration.

    Raises:
        AdapterError: the file is missing or malformed, or belongs to another model. The message
            counts all problems and lists the first 20.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise AdapterError(f"{path}: expected a file of LoRA weights, found none")
    try:
        with reading(path), closing(Hdf5File(path)) as source:
            source.check_digest()
            return _Reader(source, backbone).adapter()
    except PresetError as error:
        raise AdapterError(str(error)) from error


def write_lora(adapter: Adapter, path: str | Path, backbone: Backbone) -> tuple[str, ...]:
    """Write an adapter as a file that KerasHub's `load_lora_weights` reads; the write is atomic.

    The file has one rank: the configuration's, or a higher one if an update needs it because
        attention heads share B in KerasHub. The scale is multiplied into B.

    `load_lora_weights` expects an update for every query and value projection; the file has zeros
    for those without one. By default KerasHub reads only queries and values. If the adapter updates
    other projections, enable them first:

        hub_backbone.enable_lora(rank, target_layer_names=list(names))
        hub_backbone.load_lora_weights(path)

    Args:
        adapter: an adapter that fits the backbone.
        path: the file to create or replace; it ends in `.lora.h5`.
        backbone: the model it is for.

    Returns:
        The names of the KerasHub layers in the file: KerasHub's defaults, or those to enable first.

    Raises:
        AdapterError: KerasHub has no such model, or no layer for such an update; the message names
            the projections.
        PresetError: the file cannot be written; an old file stays unchanged.
    """
    if not str(path).endswith(".lora.h5"):
        raise AdapterError(f"{shown(path)}: expected a file name that ends in .lora.h5")
    slots = _slots(backbone)
    found = _updated(adapter, slots)
    names = _targets(found, slots, backbone)
    rank = max(adapter.config.rank, *(a.shape[-1] for a, _ in found.values()))
    size = sum(a.nbytes + b.nbytes for a, b in found.values())
    with replacing_file(path, size + _ROOM) as new:
        write_sealed(new, _tensors(found, slots, names, rank))
    return names


class _Slot(NamedTuple):
    """A numbered KerasHub layer and the projections of ours that it holds; None for any other
    layer."""

    layer: HubLayer
    module: Module | None


def _slots(backbone: Backbone) -> list[_Slot]:
    """Return the numbered layers of a backbone."""
    layers = hub_layers(backbone)
    table = modules(backbone, family_of(type(backbone)).keras_hub, _layer_path)
    return [_Slot(layer, table.get(layer.path)) for layer in layers]


def _layer_path(rule: Rule) -> str:
    return rule.names[0].removesuffix(_FIRST)


class _Reader:
    """Reads every tensor of a file once and collects problems."""

    def __init__(self, source: Hdf5File, backbone: Backbone) -> None:
        self._tensors = Tensors(source)
        self._slots = _slots(backbone)
        self._rank = source.integer(_RANK)

    def adapter(self) -> Adapter:
        """Return the adapter in the file."""
        if not 1 <= self._rank <= _MAX_RANK:
            self._tensors.problem(_RANK, f"1 to {_MAX_RANK}", self._rank)
            self._tensors.finish()
        modules = self._modules()
        pairs = {index: self._pair(index, module) for index, module in modules.items()}
        self._tensors.finish()
        moving = {i: pair for i, pair in pairs.items() if any(part.any() for part in pair)}
        updates = {
            path: update
            for index, pair in (moving or pairs).items()
            for path, update in _ours(modules[index], *_filled(*pair)).items()
        }
        targets = tuple(dict.fromkeys(path.rpartition("/")[2] for path in updates))
        return Adapter(AdapterConfig(self._rank, targets=targets), updates)

    def _modules(self) -> dict[int, Module]:
        """Return the adaptable layers that have tensors, by number; note other tensors as
        problems."""
        numbers = set()
        for name in self._tensors.names():
            found = _TENSOR.fullmatch(name)
            if name == _RANK:
                continue
            if found is None:
                expected = f"{_RANK}, {_A.format('<n>')} or {_B.format('<n>')}"
                self._tensors.problem(name, expected, "another tensor")
            else:
                numbers.add(found[1])
        if not numbers:
            self._tensors.problem("lora", "tensors of layers", "none")
        found = [(int(number), self._projection(number)) for number in numbers]
        held = [(index, module) for index, module in found if module is not None]
        return dict(sorted(held, key=lambda pair: pair[0]))

    def _projection(self, number: str) -> Module | None:
        index, name = int(number), f"lora/{number}"
        if str(index) != number or index >= len(self._slots):
            self._tensors.problem(name, f"a layer from 0 to {len(self._slots) - 1}", number)
            return None
        slot = self._slots[index]
        if slot.module is None:
            got = f"{slot.layer.path}, which takes no update"
            self._tensors.problem(name, "a projection", got)
        return slot.module

    def _pair(self, index: int, module: Module) -> tuple[np.ndarray, np.ndarray] | tuple[()]:
        """Return a layer's two tensors, or an empty tuple if they do not fit."""
        shapes = _shapes(module, self._rank)
        a, b = (
            self._tensors.take(name.format(index), shape)
            for name, shape in zip((_A, _B), shapes, strict=True)
        )
        return () if a is None or b is None else (a, b)


def _filled(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove the zeros that pad a layer's two tensors to the rank of the file."""
    used = a.reshape(-1, len(b)).any(axis=0) | b.any(axis=1)
    return (a[..., used], b[used]) if used.any() else (a, b)


def _shapes(module: Module, rank: int) -> tuple[Shape, Shape]:
    """Return the shapes of a layer's two tensors."""
    kernel = module.file_shape
    return (*kernel[:-1], rank), (rank, kernel[-1])


def _heads(module: Module) -> str:
    """Return the output axes that B lacks (the heads); empty if B has all outputs."""
    place = module.places[0]
    return "".join(x for x in place.output_letters if x not in place.theirs[-1])


def _ours(module: Module, a: np.ndarray, b: np.ndarray) -> dict[str, LowRank]:
    """Convert a layer's two tensors to our updates."""
    if not _heads(module):
        return module.split(reduced(LowRank(a.reshape(-1, len(b)).T, b.T)))
    order = _heads(module) + "r" + module.places[0].input_letters
    by_head = _turned(module, a, _axes(module), order).reshape(-1, len(b), module.inputs)
    found = {}
    for place in module.places:
        own = b if place.rule.part is None else place.rule.part.cut(b)
        used = own.any(axis=1) if b.any() else np.ones(len(b), bool)
        if used.any():
            found[place.path] = from_heads(by_head[:, used], own[used])
    return found


def _theirs(module: Module, updates: Mapping[str, LowRank]) -> tuple[np.ndarray, np.ndarray]:
    """Convert our updates to a layer's two tensors, with the smallest rank possible."""
    if not _heads(module):
        update = reduced(scaled(module.join(updates)))
        shape = _shapes(module, update.rank)[0]
        return update.a.T.reshape(shape), update.b.T
    heads = module.outputs // module.file_shape[-1]
    pairs = {
        place: to_heads(scaled(updates[place.path]), heads)
        for place in module.places
        if place.path in updates
    }
    order = _heads(module) + "r" + module.places[0].input_letters
    a, b = _joined(module, pairs)
    return _turned(module, a, order, _axes(module)), b


def _joined(
    module: Module, pairs: Mapping[Place, tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Join the factors of a module's projections into one A (heads, rank, inputs) and B (rank, last
    axis); each projection has its own part of the last axis."""
    all_a = [a for a, _ in pairs.values()]
    if len(pairs) == len(module.places) and all(np.array_equal(a, all_a[0]) for a in all_a):
        return all_a[0], np.concatenate([b for _, b in pairs.values()], axis=1)
    joined = np.zeros((sum(len(b) for _, b in pairs.values()), module.file_shape[-1]), np.float32)
    row = 0
    for place, (_, b) in pairs.items():
        column = present(place.rule.part, "a part of a module").start * b.shape[1]
        joined[row : row + len(b), column : column + b.shape[1]] = b
        row += len(b)
    return np.concatenate(all_a, axis=1), joined


def _axes(module: Module) -> str:
    """Return the axes of A in KerasHub's order."""
    return "".join(module.places[0].theirs[:-1]) + "r"


def _turned(module: Module, a: np.ndarray, axes: str, order: str) -> np.ndarray:
    """Return A with its axes split, one for each letter, and reordered from `axes` to `order`."""
    sizes = module.places[0].sizes
    rank = a.size // np.prod([sizes[x] for x in axes if x != "r"], dtype=int)
    split = a.reshape([rank if x == "r" else sizes[x] for x in axes])
    return split.transpose([axes.index(x) for x in order])


def _updated(adapter: Adapter, slots: list[_Slot]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the two tensors of every layer with an update, by number."""
    there = {slot.module.name: slot.module for slot in slots if slot.module is not None}
    check_updates(adapter, there, "KerasHub")
    return {
        index: _theirs(slot.module, adapter.updates)
        for index, slot in enumerate(slots)
        if slot.module is not None and slot.module.holds(adapter)
    }


def _targets(
    found: Mapping[int, object], slots: list[_Slot], backbone: Backbone
) -> tuple[str, ...]:
    """Return KerasHub's names of the layers to enable; its defaults if they are enough."""
    called = [slots[index].layer.name for index in sorted(found)]
    needed = tuple(dict.fromkeys(name for name in called if name is not None))
    usual = default_targets(backbone)
    names = usual if set(needed) <= set(usual) else needed
    other = [s.layer.path for s in slots if s.layer.name in names and s.module is None]
    if other:
        raise AdapterError(
            f"KerasHub enables layers by name, and those called {needed} are not all projections "
            f"here: {other[:20]}"
        )
    return names


def _tensors(
    found: Mapping[int, tuple[np.ndarray, np.ndarray]],
    slots: list[_Slot],
    names: tuple[str, ...],
    rank: int,
) -> Iterator[tuple[str, np.ndarray]]:
    """Return the tensors of the file, with zeros for a layer that KerasHub reads but that has no
    update."""
    yield _RANK, np.array(rank, np.int64)
    for index, slot in enumerate(slots):
        if slot.layer.name in names and slot.module is not None:
            whole = [np.zeros(shape, np.float32) for shape in _shapes(slot.module, rank)]
            for values, part in zip(whole, found.get(index, ()), strict=False):
                values[tuple(map(slice, part.shape))] = part
            yield _A.format(index), whole[0]
            yield _B.format(index), whole[1]
