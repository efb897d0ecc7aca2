"""Read the adapters of a backbone: a mapping by name, and which adapter is active."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from workbench.backbones.adapter import QUERY_AND_VALUE, Adapter
from workbench.backbones.adapter_targets import projections, target_names
from workbench.backbones.all_or_nothing import Restorable, unchanging
from workbench.backbones.kept_adapter import KeptAdapter
from workbench.backbones.layers.low_rank import Updates
from workbench.backbones.layers.named import Projection
from workbench.backbones.views import view_here
from workbench.errors import AdapterError


class AdapterMapping(Restorable, Mapping[str, Adapter]):
    """A mapping from names to adapters, as they are now."""

    def __init__(self, backbone: Any) -> None:
        self._backbone = backbone
        self._kept: dict[str, KeptAdapter] = {}
        self._active: str | None = None
        self._merged: dict[str, np.ndarray] = {}
        self._trained: list[keras.Variable] = []
        for layer in projections(backbone).values():
            object.__setattr__(layer, "active_updates", self._updates)  # Keras would track it

    def __getitem__(self, name: str) -> Adapter:
        with unchanging(self._backbone):
            return self._find(name).adapter

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __repr__(self) -> str:
        state = " (merged)" if self._merged else " (active)"
        lines = [
            f"{name}: rank {adapter.config.rank} on {', '.join(adapter.config.targets)}, "
            f"{adapter.parameters:,} parameters" + (state if name == self.active else "")
            for name, adapter in self._kept.items()
        ]
        return "\n".join(lines) or "no adapters"

    @property
    def active(self) -> str | None:
        """The name of the adapter that this thread uses; None for the bare model."""
        return view_here().get(id(self), self._active)

    @property
    def merged(self) -> bool:
        """Whether the active adapter is merged into the weights."""
        return bool(self._merged)

    @property
    def kept(self) -> Mapping[str, KeptAdapter]:
        """The adapters with their variables, not copied."""
        return MappingProxyType(self._kept)

    @property
    def replaced(self) -> Mapping[str, np.ndarray]:
        """The original kernels that `merge` replaced, by the paths of their projections."""
        return MappingProxyType(self._merged)

    @property
    def live(self) -> dict[str, Projection]:
        """The projections that the active adapter updates, by their paths; none while it is
        merged."""
        return {path: layer for path, layer in projections(self._backbone).items() if layer.adapted}

    @property
    def live_parameters(self) -> int:
        """The number of elements in the active adapter's variables."""
        return sum(layer.lora_size for layer in self.live.values())

    def shapes_of(
        self, targets: tuple[str, ...] | list[str] | str | None = None
    ) -> dict[str, tuple[int, int]]:
        """Return the shapes (outputs, inputs) of the projections that an adapter with these targets
        would update, by their paths. An adapter of rank r trains r numbers for each output and
        input.

        Raises:
            SettingError: no projection has one of the names.
        """
        names = target_names(self._backbone, QUERY_AND_VALUE if targets is None else targets)
        return {
            path: layer.matrix_shape
            for path, layer in projections(self._backbone).items()
            if layer.name in names
        }

    def _refuse_merged(self) -> None:
        if self._merged:
            raise AdapterError(f"adapters: {self._active!r} is merged: call unmerge() first")

    def _check_usable(self, name: str | None) -> None:
        if name != self._active:
            self._refuse_merged()
        if name is not None:
            self._find(name)

    def _find(self, name: str) -> KeptAdapter:
        if name not in self._kept:
            raise AdapterError(f"adapters: expected one of {list(self._kept)}, got {name!r}")
        return self._kept[name]

    def _updates(self) -> Updates:
        """Return the updates of the adapter that this thread uses."""
        name = self.active
        self._check_usable(name)
        return {} if name is None or self._merged else self._find(name).updates
