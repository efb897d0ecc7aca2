"""The order in which KerasHub's LoRA files number the layers of a backbone.

KerasHub identifies a layer by its place among all that have weights, as Keras walks them. The
table beside this file says for each architecture which layers follow each other, the index of a
block left open; `tests/data/lora/make_keras_hub_layers.py` makes it from KerasHub itself. A layer
of the table that a model has no weights for, such as a norm it does without, does not count.
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
    """A layer of KerasHub's: its path in `model.weights.h5`, and its name, by which KerasHub's
    `enable_lora` finds it; None for a composite one whose name counts such layers."""

    path: str
    name: str | None


def hub_layers(backbone: Backbone) -> tuple[HubLayer, ...]:
    """The layers with weights of KerasHub's backbone like this one, in its order.

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
    """Names of the layers that KerasHub's `enable_lora` takes by default."""
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
    return _architectures()[family_of(type(backbone)).backbone.__name__]


def _holders(backbone: Backbone) -> set[str]:
    """Paths of all layers of KerasHub's that hold a weight of the model, or a part that does."""
    family, arguments = family_of(type(backbone)), backbone.arguments
    rules = expand(rules_for(family.keras_hub_rules, arguments), repeats(arguments))
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
    """The layers of a group, for every block there is."""
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
