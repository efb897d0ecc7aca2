"""The order in which KerasHub's LoRA files number the layers of a backbone.

KerasHub identifies a layer by its position among all layers with weights, in the order in which
Keras walks them. The table next to this file lists this order for each architecture, with a
placeholder for the block index; `tests/data/lora/make_keras_hub_layers.py` generates it from
KerasHub. A layer for which a model has no weights, such as an unused norm, is not counted.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from workbench.backbones.backbone import Backbone
from workbench.backbones.weights import expand, is_numbered, numbered, repeats, rules_for
from workbench.errors import AdapterError
from workbench.families.registry import family_of

_TABLE = Path(__file__).with_suffix(".json")


class HubLayer(NamedTuple):
    """A KerasHub layer: its path in `model.weights.h5` and the name by which KerasHub's
    `enable_lora` finds it. The name is None for a composite layer whose name contains a counter."""

    path: str
    name: str | None


def hub_layers(backbone: Backbone) -> tuple[HubLayer, ...]:
    """Return the layers with weights of the matching KerasHub backbone, in its order.

    Raises:
        AdapterError: KerasHub has no such backbone.
    """
    holders = _holders(backbone)
    return tuple(
        layer
        for group in _architecture(backbone)["groups"]
        for layer in _expanded(group, holders)
        if layer.path in holders
    )


def default_targets(backbone: Backbone) -> tuple[str, ...]:
    """Return the names of the layers that KerasHub's `enable_lora` adapts by default."""
    return tuple(_architecture(backbone)["targets"])


@functools.cache
def _architectures() -> dict[str, Any]:
    return json.loads(_TABLE.read_text(encoding="utf-8"))["backbones"]


def _architecture(backbone: Backbone) -> dict[str, Any]:
    own = {
        name: backbone.arguments[name]
        for name, usual in backbone.own_arguments.items()
        if backbone.arguments.get(name, usual) != usual
    }
    if own:
        raise AdapterError(f"KerasHub has no {type(backbone).__name__} with {own}")
    name = family_of(type(backbone)).backbone.__name__
    if name not in _architectures():
        raise AdapterError(
            f"KerasHub's files of LoRA weights number its own layers, and it has no {name}; "
            "`adapters.save` writes a folder for PEFT"
        )
    return _architectures()[name]


def _holders(backbone: Backbone) -> set[str]:
    """Return the paths of all KerasHub layers that hold a weight, directly or in a sublayer."""
    family, arguments = family_of(type(backbone)), backbone.arguments
    rules = expand(rules_for(family.keras_hub, arguments), repeats(arguments))
    here = {variable.path for variable in backbone.weights}
    names = {rule.names[0] for ours, rule in rules.items() if ours in here}
    names |= set(family.keras_hub_constants(arguments))
    holders = set()
    for name in names:
        path = name.partition("/vars/")[0]
        while path and path not in holders:
            holders.add(path)
            path = path.rpartition("/")[0]
    return holders


def _expanded(group: dict[str, Any], holders: set[str]) -> Iterator[HubLayer]:
    """Yield the layers of a group, for every block of the model."""
    rows = [HubLayer(*row) for row in group["layers"]]
    if not is_numbered(rows[0].path):
        yield from rows
        return
    count = 0
    while numbered(rows[0].path, count) in holders:
        count += 1
    for index in reversed(range(count)) if group["reversed"] else range(count):
        for row in rows:
            yield HubLayer(numbered(row.path, index), row.name)
