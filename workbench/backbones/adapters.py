"""The adapters of a backbone: several by name, at most one at work."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from workbench import ports
from workbench.backbones.adapter import (
    QUERY_AND_VALUE,
    Adapter,
    AdapterConfig,
    LowRank,
    admit_adapter,
)
from workbench.backbones.adapter_targets import check_fits, projections, target_names
from workbench.backbones.all_or_nothing import Content, all_or_nothing, unchanging
from workbench.backbones.consistency import check_consistent
from workbench.backbones.kept_adapter import KeptAdapter
from workbench.backbones.layers.low_rank import Updates
from workbench.backbones.layers.named import Projection
from workbench.backbones.training_claims import check_unclaimed
from workbench.backbones.views import see, seeing, view_here
from workbench.errors import AdapterError
from workbench.interrupts import let_through
from workbench.kinds import NOTHING, integer
from workbench.memory.door import names_exhaustion


class Adapters(Content, Mapping[str, Adapter]):
    """What `lm.adapters` is: a mapping from names to adapters, as they are now.

    The active one is at work in every call of the model and is what training changes; the weights
    of the model itself are frozen from the first adapter to the last. Switching changes the
    numbers that the compiled programs are given; adapters of one rank share all programs. A change
    that fails or is interrupted leaves the model and its adapters as they were.

    While a `TrainingJob` trains the model, every change is a `ModelInTrainingError`; `using`, which
    is none, and `save` work as ever.

    Example:
        >>> lm.adapters.add("pirate", rank=8, alpha=16)
        >>> lm.fit(stories)
        >>> with lm.adapters.using(None):
        ...     print(lm.generate("Once upon a time"))
        >>> lm.adapters.save("pirate_adapter")
    """

    def __init__(self, backbone: Any) -> None:
        self._backbone = backbone
        self._kept: dict[str, KeptAdapter] = {}
        self._active: str | None = None
        self._merged: dict[str, np.ndarray] = {}
        self._trained: list[keras.Variable] = []
        for layer in projections(backbone).values():
            object.__setattr__(layer, "adapters_in_use", self._in_use)  # Keras would track it

    # -- reading --------------------------------------------------------------------------

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
        """The name of the adapter at work here; None for the model as it is."""
        return view_here().get(id(self), self._active)

    @property
    def merged(self) -> bool:
        """Whether the active adapter is part of the weights."""
        return bool(self._merged)

    @property
    def kept(self) -> Mapping[str, KeptAdapter]:
        """The adapters with their settings and variables: nothing is copied."""
        return MappingProxyType(self._kept)

    @property
    def replaced(self) -> Mapping[str, np.ndarray]:
        """The kernels that `merge` has replaced, by the paths of their projections."""
        return MappingProxyType(self._merged)

    @property
    def live(self) -> dict[str, Projection]:
        """The projections that hold the active adapter's updates, by their paths; none while it
        is merged."""
        return {path: layer for path, layer in projections(self._backbone).items() if layer.adapted}

    @property
    def live_parameters(self) -> int:
        """How many numbers the variables of the active adapter hold."""
        return sum(layer.lora_size for layer in self.live.values())

    def shapes_of(
        self, targets: tuple[str, ...] | list[str] | str | None = None
    ) -> dict[str, tuple[int, int]]:
        """The projections that an adapter of these targets would update, by their paths, with the
        shapes (outputs, inputs) of their matrices. An adapter of rank r trains r numbers for each
        output and input.

        Raises:
            SettingError: no projection has one of the names.
        """
        names = target_names(self._backbone, QUERY_AND_VALUE if targets is None else targets)
        return {
            path: layer.matrix_shape
            for path, layer in projections(self._backbone).items()
            if layer.name in names
        }

    # -- changing -------------------------------------------------------------------------

    @names_exhaustion("making an adapter")
    def add(
        self,
        name: str,
        rank: int = 8,
        alpha: float | None = None,
        dropout: float = 0.0,
        targets: tuple[str, ...] | list[str] | str | None = None,
        seed: int | None = None,
    ) -> Adapter:
        """Make an adapter that changes nothing yet, and use it.

        A begins uniform within 1 / sqrt(inputs), B with zeros.

        Args:
            name: of the new adapter.
            rank, alpha, dropout: as `AdapterConfig` has them.
            targets: names of projections: `query`, `key`, `value`, `output` of attention, `gate`,
                `up`, `down` of feed-forward networks, or as other libraries call them (`q_proj`,
                `query_dense`, ...); "all" for all of these; by default query and value.
            seed: of the numbers it begins with; None draws one.

        Raises:
            AdapterError: the name is taken, or an adapter is merged.
            SettingError: a setting is impossible, or no projection has one of the names.
            MemoryTooSmallError: there is not enough memory for its rank.
        """
        self._check_free(name)
        (integer(0) | NOTHING).check("seed", seed)
        names = target_names(self._backbone, QUERY_AND_VALUE if targets is None else targets)
        config = AdapterConfig(rank, alpha, dropout, names)
        random = np.random.default_rng(seed)
        shapes = self.shapes_of(names)
        admit_adapter(config.rank, shapes)
        updates = {path: LowRank.fresh(shape, config, random) for path, shape in shapes.items()}
        adapter = Adapter(config, updates, self._backbone.preset)
        with self._changing():
            self._set(name, adapter)
            self._use(name)
        return self[name]

    def __setitem__(self, name: str, adapter: Adapter) -> None:
        """Keep an adapter under a name, in place of one that has it. It is used only if that one
        was."""
        with self._changing():
            self._set(name, adapter)

    def __delitem__(self, name: str) -> None:
        self.remove(name)

    def use(self, name: str | None) -> None:
        """Put an adapter to work, or none.

        Raises:
            AdapterError: there is none of that name, or the one at work is merged.
        """
        if name != self.active:
            self._use(name)

    @contextmanager
    def using(self, name: str | None) -> Iterator[None]:
        """While the block runs, this thread has an adapter at work, or none; other threads, and
        what is being trained, have what they had. Jobs that are started in the block see it, too.

        Raises:
            AdapterError: as `use`.
        """
        self._check_usable(name)
        with seeing({**view_here(), id(self): name}):
            yield

    def remove(self, name: str) -> None:
        """Forget an adapter. Without any, the model's own weights can be trained again.

        Raises:
            AdapterError: there is none of that name, or it is merged.
        """
        self._find(name)
        if name == self._active:
            self._refuse_merged()
        with self._changing():
            if name == self.active:
                self._use(None)
            if name == self._active:
                self._active = None
            del self._kept[name]
            if not self._kept:
                self._thaw()

    @names_exhaustion("merging an adapter")
    def merge(self) -> None:
        """Add the active adapter to the weights, so that it costs nothing in use.

        The weights it changes are kept in memory until `unmerge` puts them back, bit by bit.

        Raises:
            AdapterError: none is active, one is merged already, or the weights are integers,
                which take no update without loss.
        """
        self._refuse_merged()
        if self.active is None:
            raise AdapterError("merge: expected an active adapter, got none: call use(name)")
        if self.active != self._active:
            raise AdapterError(
                f"merge: {self.active!r} is at work in this block of using() alone: leave it and "
                f"call use({self.active!r})"
            )
        if self._backbone.quantization is not None:
            raise AdapterError(
                f"merge: the weights are {self._backbone.quantization}: expected floats. Use the "
                "adapter beside them, or load the model in a float dtype to merge it"
            )
        with self._changing():
            self._merge(self._find(self._active).updates)

    def unmerge(self) -> None:
        """Put back the weights as they were before `merge`; the adapter is active again.

        Raises:
            AdapterError: none is merged.
        """
        if not self._merged:
            raise AdapterError("unmerge: expected a merged adapter, got none")
        with self._changing():
            layers = projections(self._backbone)
            for path, kernel in self._merged.items():
                let_through()
                layers[path].kernel.assign(kernel)
            self._merged = {}

    # -- files ----------------------------------------------------------------------------

    def save(self, path: str | Path, name: str | None = None) -> None:
        """Write an adapter: a file of KerasHub's where the path ends in `.lora.h5`, else a folder
        of PEFT's, which Transformers reads.

        Args:
            path: the file or folder to make or replace.
            name: of the adapter; by default the active one.

        Raises:
            AdapterError: there is no such adapter, or the format cannot hold it.
            PresetError: the path cannot be written, or a change of the model was broken off; what
                was there before is unchanged.
        """
        name = self.active if name is None else name
        if name is None:
            raise AdapterError("save: expected an active adapter or a name, got none")
        with unchanging(self._backbone):
            check_consistent(self._backbone)
            adapter = self[name]
        ports.store().write_adapter(adapter, path, self._backbone)

    @names_exhaustion("loading an adapter")
    def load(self, path: str | Path, name: str | None = None) -> str:
        """Read an adapter from a `.lora.h5` file or a PEFT folder, and use it.

        Args:
            path: the file or folder.
            name: to keep it under, in place of one that has it; by default the path's own.

        Returns:
            The name.

        Raises:
            AdapterError: the file is missing or malformed, or does not fit this model; the model
                is as it was.
        """
        check_unclaimed(self._backbone)  # before it is read
        path = Path(os.path.expanduser(path))
        name = path.name.removesuffix(".lora.h5") if name is None else name
        adapter = ports.store().read_adapter(path, self._backbone)
        with self._changing():
            self._set(name, adapter)
            self._use(name)
        return name

    def restore(
        self, kept: Mapping[str, Adapter], active: str | None, replaced: Mapping[str, np.ndarray]
    ) -> None:
        """Be as in a saved model: with these adapters, in place of those of their names, and this
        one active; it is merged where there are kernels that it has replaced.

        Raises:
            AdapterError: an adapter does not fit, or this is a block of `using`.
        """
        if id(self) in view_here():
            raise AdapterError("adapters: expected a call outside using(), got one inside")
        with self._changing():
            self._active, self._merged = None, {}
            for name, adapter in kept.items():
                self._set(name, adapter)
            self._active, self._merged = active, dict(replaced)

    # -- the layers -----------------------------------------------------------------------

    def _changing(self) -> AbstractContextManager[None]:
        return all_or_nothing(self._backbone, self)

    def _set(self, name: str, adapter: Adapter) -> None:
        if not isinstance(name, str) or not name:
            raise AdapterError(f"adapters: expected a name, got {name!r}")
        check_fits(adapter, self._backbone)
        if name == self._active:
            self._refuse_merged()
        if not self._kept:
            self._trained = self._backbone.trainable_variables
            self._freeze()
        layers = projections(self._backbone)
        self._kept[name] = KeptAdapter.of(adapter, layers, self._kept.get(name))

    def _use(self, name: str | None) -> None:
        self._check_usable(name)
        if id(self) in view_here():
            see({**view_here(), id(self): name})
            return
        with self._changing():
            self._freeze()
            self._active = name

    def _merge(self, updates: Updates) -> None:
        layers, before = projections(self._backbone), {}
        for path in updates:
            let_through()
            before[path] = np.array(layers[path].kernel.value)
            layers[path].kernel.assign(layers[path].merged_kernel)
        self._merged = before

    def _check_free(self, name: str) -> None:
        self._refuse_merged()
        if name in self._kept:
            raise AdapterError(f"adapters: there is one called {name!r} already: remove it first")

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

    def _in_use(self) -> Updates:
        """The updates at work here."""
        name = self.active
        self._check_usable(name)
        return {} if name is None or self._merged else self._find(name).updates

    def _freeze(self) -> None:
        for layer in self._backbone._flatten_layers(include_self=False):
            layer.trainable = False

    def _thaw(self) -> None:
        for layer in self._backbone._flatten_layers(include_self=False):
            layer.trainable = True
        trained = {id(variable) for variable in self._trained}
        for variable in self._backbone.variables:
            variable.trainable = id(variable) in trained
