"""Adapters in the files that Keras writes.

The layers store what they hold: their kernels, and the updates of the active adapter. What no
layer holds is stored by the backbone: which adapters there are, the numbers of those that are not
at work, and the kernels that a merged one has replaced.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank, admit_adapter
from workbench.backbones.adapter_targets import check_replaced, projections
from workbench.backbones.kept_adapter import KeptAdapter
from workbench.backbones.saved_variables import Store
from workbench.errors import AdapterError, PresetError, shown
from workbench.kinds import integer
from workbench.storage.json_files import parse_json

_HEADER = "adapters"
_FOREIGN = (
    "expected weights that save_weights() or save() of this package wrote, got others. Write a "
    "KerasHub model with save_to_preset(), and read a preset with from_preset()"
)


def described(backbone: Any) -> dict[str, Any]:
    """Which adapters a backbone has, without their numbers, as JSON holds it."""
    adapters = backbone.adapters
    return {
        "adapters": {name: _described(adapter) for name, adapter in adapters.kept.items()},
        "active": adapters.active,
        "merged": adapters.merged,
    }


def rebuild(backbone: Any, description: Mapping[str, Any]) -> None:
    """Give a backbone without adapters those of a description, as they begin.

    Raises:
        AdapterError: the description is malformed, or does not fit.
        MemoryTooSmallError: there is not enough memory for them.
    """
    layers = projections(backbone)
    try:
        made = {name: _fresh(one, layers) for name, one in description["adapters"].items()}
        active, merged = description["active"], description["merged"]
        paths = made[active].updates if merged else ()
    except (KeyError, TypeError, AttributeError) as error:
        raise AdapterError(f"adapters: malformed description: {shown(str(error))}") from error
    backbone.adapters.restore(made, active, {p: np.array(layers[p].kernel.value) for p in paths})


def write(backbone: Any, store: Store) -> None:
    """Put what no layer holds into the backbone's store."""
    header = described(backbone)
    store[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    for key, update in _stored(backbone.adapters, header).items():
        for part, value in update._asdict().items():
            store[f"{key}/{part}"] = np.asarray(value)
    for path, kernel in backbone.adapters.replaced.items():
        store[f"replaced/{path}"] = kernel


def read(backbone: Any, store: Store) -> None:
    """Take the adapters of a file, before the layers take their variables. A backbone without
    adapters gets the active one merged, layer by layer, and says so.

    Raises:
        AdapterError: the backbone has others, or integers to merge one into.
        PresetError: the file is of another kind, or damaged.
    """
    header = _header(store)
    if not header["adapters"]:
        _check_unchanged(backbone)
    elif len(backbone.adapters):
        _take(backbone, header, store)
    else:
        _tell_merged(backbone, header)


def _described(adapter: KeptAdapter) -> dict[str, Any]:
    config = asdict(adapter.config) | {"targets": list(adapter.config.targets)}
    ranks = {path: update.a.shape[0] for path, update in adapter.updates.items()}
    return {"config": config, "ranks": ranks, "base": adapter.base}


def _fresh(description: Mapping[str, Any], layers: Mapping[str, Any]) -> Adapter:
    """An adapter of this description that changes nothing yet."""
    config, ranks = AdapterConfig(**description["config"]), description["ranks"]
    for path, rank in ranks.items():
        integer(1).check(f"rank of {path}", rank)
    shapes = {path: layers[path].matrix_shape for path in ranks}
    admit_adapter(max(ranks.values()), shapes)
    random = np.random.default_rng()
    updates = {
        path: LowRank.fresh(shapes[path], replace(config, rank=rank), random)._replace(
            scale=config.scale
        )
        for path, rank in ranks.items()
    }
    return Adapter(config, updates, description["base"])


def _header(store: Store) -> dict[str, Any]:
    if _HEADER not in store.keys():  # noqa: SIM118 - a store of Keras's is no mapping
        raise PresetError(_FOREIGN)
    header = parse_json(bytes(store[_HEADER]), _HEADER)
    named, active = header.get("adapters"), header.get("active")
    known = isinstance(named, dict) and active in (None, *named)
    if not known or header.get("merged") not in (False, active is not None):
        raise PresetError.at(_HEADER, "content", "adapters, active, merged", header)
    return header


def _stored(adapters: Mapping[str, Adapter], header: Mapping[str, Any]) -> dict[str, LowRank]:
    """The updates that no layer of a model with this header holds, by their place in its file."""
    live = None if header["merged"] else header["active"]
    return {
        f"{number}/{path}": update
        for number, name in enumerate(header["adapters"])
        if name != live
        for path, update in adapters[name].updates.items()
    }


def _take(backbone: Any, header: Mapping[str, Any], store: Store) -> None:
    """Be as the file says. The layers are about to read the active adapter's numbers."""
    adapters, active = backbone.adapters, header["active"]
    _check_same(backbone, header)
    read = {key: _update(store, key) for key in _stored(adapters, header)}
    kept = {
        name: replace(
            adapters[name],
            updates={
                path: read.get(f"{number}/{path}", update)
                for path, update in adapters[name].updates.items()
            },
        )
        for number, name in enumerate(header["adapters"])
    }
    paths = kept[active].updates if header["merged"] else ()
    replaced = {path: _value(store, f"replaced/{path}") for path in paths}
    check_replaced(replaced, backbone)
    adapters.restore(kept, active, replaced)


def _update(store: Store, key: str) -> LowRank:
    a, b, scale = (_value(store, f"{key}/{part}") for part in LowRank._fields)
    return LowRank(a, b, float(scale))


def _value(store: Store, key: str) -> np.ndarray:
    try:
        return store[key]
    except (KeyError, ValueError) as error:
        raise PresetError.at(_HEADER, key, "numbers", shown(str(error))) from error


def _check_same(backbone: Any, header: Mapping[str, Any]) -> None:
    """Refuse adapters that the backbone has not, or has with other settings."""
    ours = described(backbone)["adapters"]
    for name, theirs in header["adapters"].items():
        if name not in ours or any(ours[name][k] != theirs.get(k) for k in ("config", "ranks")):
            raise AdapterError(
                f"load_weights: expected an adapter of the file's kind, {_told(name, theirs)}, got "
                f"{_named(ours)}: make it with adapters.add(), or remove all adapters to "
                "have it merged into the weights"
            )


def _check_unchanged(backbone: Any) -> None:
    """Weights without an adapter are not to be read under one that would change them."""
    adapters = backbone.adapters
    live = any(np.any(layer.in_use.b.value) for layer in adapters.live.values())
    if live or adapters.merged:
        before = "adapters.unmerge() and " if adapters.merged else ""
        raise AdapterError(
            f"load_weights: the file holds no adapter, and {adapters.active!r} would change its "
            f"weights: call {before}adapters.use(None) first"
        )


def _tell_merged(backbone: Any, header: Mapping[str, Any]) -> None:
    """Warn of what becomes of the adapters of a file in a backbone that has none."""
    named, active = header["adapters"], header["active"]
    if active is None:
        told = f"the file's adapters were not read: {_named(named)}. Make them first"
    elif backbone.quantization is not None:
        raise AdapterError(
            f"load_weights: the file holds {_told(active, named[active])}, which "
            f"{backbone.quantization} weights cannot take in: make it first, with adapters.add()"
        )
    else:
        told = (
            f"{_told(active, named[active])}, is now part of the weights. To have it beside them, "
            "make it before"
        )
    warnings.warn(f"load_weights: {told}, with adapters.add().", stacklevel=2)


def _named(adapters: Mapping[str, Any]) -> str:
    return "; ".join(_told(name, one) for name, one in list(adapters.items())[:5])


def _told(name: str, description: Any) -> str:
    return f"{shown(name)} ({_config_told(description)})"


def _config_told(description: Any) -> str:
    config = description.get("config") if isinstance(description, Mapping) else None
    if not isinstance(config, Mapping):
        return shown(description)
    return ", ".join(f"{key}={shown(value)}" for key, value in config.items())
