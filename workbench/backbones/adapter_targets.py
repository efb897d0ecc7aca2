"""Find the projections that an adapter updates, and check that an adapter fits them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from workbench.backbones.adapter import Adapter
from workbench.backbones.layers.named import Projection
from workbench.errors import AdapterError, SettingError, shown
from workbench.keras_internals import layers_within

EVERY = "all"
# Other libraries' names for the projections.
_ALIASES = {
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "o_proj": "output",
    "query_proj": "query",
    "key_proj": "key",
    "value_proj": "value",
    "query_dense": "query",
    "key_dense": "key",
    "value_dense": "value",
    "output_dense": "output",
    "attention_output": "output",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
}


def projections(backbone: Any) -> dict[str, Projection]:
    """Return all projections of a backbone, by their paths."""
    layers = layers_within(backbone)
    return {str(layer.path): layer for layer in layers if isinstance(layer, Projection)}


def target_names(backbone: Any, targets: tuple[str, ...] | list[str] | str) -> tuple[str, ...]:
    """Return the names of these targets in a backbone, each once.

    Raises:
        SettingError: no projection has one of the names.
    """
    there = {layer.name for layer in projections(backbone).values()}
    if targets == EVERY:
        return tuple(sorted(there))
    if isinstance(targets, str):
        raise SettingError(
            f"targets: expected names of projections or {EVERY!r}, got {shown(targets)}"
        )
    names = tuple(dict.fromkeys(_ALIASES.get(name, name) for name in targets))
    if not names or not there.issuperset(names):
        raise SettingError(
            f"targets: expected names of projections of {backbone.name}, some of "
            f"{sorted(there)}, got {shown(list(targets))}"
        )
    return names


def check_fits(adapter: Adapter, backbone: Any) -> None:
    """Refuse an adapter that does not fit a backbone.

    Raises:
        AdapterError: it does not fit; the message lists the mismatches.
    """
    wrong = list(_mismatches(adapter, projections(backbone)))
    if wrong or not adapter.updates:
        listed = "; ".join(wrong[:20]) or "it has no updates"
        raise AdapterError(f"the adapter does not fit {backbone.name}: {listed}")


def check_replaced(kernels: Mapping[str, np.ndarray], backbone: Any) -> None:
    """Refuse kernels, by the paths of their projections, that do not fit a backbone.

    Raises:
        AdapterError: a kernel has no projection or another shape; the message names the first.
    """
    layers = projections(backbone)
    for path, kernel in kernels.items():
        expected = tuple(layers[path].kernel.shape) if path in layers else None
        if kernel.shape != expected:
            raise AdapterError(f"{path}: expected a kernel {expected}, got {kernel.shape}")


def _mismatches(adapter: Adapter, layers: dict[str, Projection]) -> Iterator[str]:
    for path, update in adapter.updates.items():
        if path not in layers:
            yield f"{path}: no such projection"
            continue
        outputs, inputs = layers[path].matrix_shape
        shapes = (update.rank, inputs), (outputs, update.rank)
        got = tuple(update.a.shape), tuple(update.b.shape)
        if got != shapes:
            yield f"{path}: expected A and B of shapes {shapes}, got {got}"
        elif not all(np.isfinite(np.asarray(part)).all() for part in update):
            yield f"{path}: expected finite numbers"
