"""An adapter of a model: the variables of its updates, whether it is active or not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.backbones.adapter import Adapter, AdapterConfig
from workbench.backbones.all_or_nothing import Restorable
from workbench.backbones.layers.low_rank import Update
from workbench.backbones.layers.named import Projection
from workbench.interrupts import let_through


@dataclass(frozen=True, eq=False)
class KeptAdapter(Restorable):
    """An adapter with its own variables, so that training one never changes another.

    Attributes:
        config, base: as in `Adapter`.
        updates: by the paths of their projections.
    """

    config: AdapterConfig
    updates: dict[str, Update]
    base: str | None = None

    @classmethod
    def of(
        cls, adapter: Adapter, layers: dict[str, Projection], before: KeptAdapter | None
    ) -> KeptAdapter:
        """Make an adapter for these projections. It reuses the variables of the adapter that it
        replaces if their shapes fit, so that a running training continues with them."""
        updates = {} if before is None or not before._fits(adapter) else before.updates
        dropout = adapter.config.dropout
        for path, update in adapter.updates.items():
            let_through()
            if path in updates:
                updates[path].assign(update, dropout)
            else:
                updates[path] = layers[path].make_update(update, dropout)
        return cls(adapter.config, updates, adapter.base)

    @property
    def adapter(self) -> Adapter:
        """A copy with the current numbers."""
        updates = {path: update.low_rank for path, update in self.updates.items()}
        return Adapter(self.config, updates, self.base)

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return sum(math.prod(u.a.shape) + math.prod(u.b.shape) for u in self.updates.values())

    def _fits(self, adapter: Adapter) -> bool:
        own = {path: tuple(update.a.shape) for path, update in self.updates.items()}
        return own == {path: tuple(update.a.shape) for path, update in adapter.updates.items()}
