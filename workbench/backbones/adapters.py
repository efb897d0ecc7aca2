"""The adapters of a backbone: several by name, at most one active."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from workbench import ports
from workbench.backbones.adapter import (
    QUERY_AND_VALUE,
    Adapter,
    AdapterConfig,
    LowRank,
    admit_adapter,
)
from workbench.backbones.adapter_mapping import AdapterMapping
from workbench.backbones.adapter_targets import check_fits, projections, target_names
from workbench.backbones.all_or_nothing import all_or_nothing, unchanging
from workbench.backbones.consistency import check_consistent
from workbench.backbones.kept_adapter import KeptAdapter
from workbench.backbones.layers.low_rank import Updates
from workbench.backbones.training_claims import check_unclaimed
from workbench.backbones.views import see, seeing, view_here
from workbench.errors import AdapterError
from workbench.interrupts import let_through
from workbench.keras_internals import layers_within
from workbench.kinds import NOTHING, integer
from workbench.memory.door import names_exhaustion


class Adapters(AdapterMapping):
    """`lm.adapters`: a mapping from names to adapters, as they are now.

    Every call of the model uses the active adapter, and training changes it. The model's own
    weights are frozen while it has any adapter. Adapters of one rank share all compiled programs,
    so switching compiles nothing. A change that fails or is interrupted leaves the model and its
    adapters as they were.

    While a `TrainingJob` trains the model, every change raises `ModelInTrainingError`; `using` and
    `save` still work.

    Example:
        >>> lm.adapters.add("pirate", rank=8, alpha=16)
        >>> lm.fit(stories)
        >>> with lm.adapters.using(None):
        ...     print(lm.generate("Once upon a time"))
        >>> lm.adapters.save("pirate_adapter")
    """

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

        A is initialised uniformly within 1 / sqrt(inputs), B with zeros.

        Args:
            name: of the new adapter.
            rank, alpha, dropout: see `AdapterConfig`.
            targets: names of projections: `query`, `key`, `value`, `output` of attention, `gate`,
                `up`, `down` of feed-forward networks, or other libraries' names for them (`q_proj`,
                `query_dense`, ...); "all" for all of these; by default query and value.
            seed: of the initial numbers; None draws one.

        Raises:
            AdapterError: the name is taken, or an adapter is merged.
            SettingError: a setting is out of range, or no projection has one of the names.
            ModelInTrainingError: the model is being trained.
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
        """Store an adapter under a name. It replaces one of that name, and is active only if that
        one was."""
        with self._changing():
            self._set(name, adapter)

    def __delitem__(self, name: str) -> None:
        self.remove(name)

    def use(self, name: str | None) -> None:
        """Activate an adapter, or none.

        Raises:
            AdapterError: there is no adapter of that name, or the active one is merged.
            ModelInTrainingError: the model is being trained.
        """
        if name != self.active:
            self._use(name)

    @contextmanager
    def using(self, name: str | None) -> Iterator[None]:
        """Use an adapter, or none, in this thread while the block runs. Other threads and a running
        training keep theirs; jobs started within the block use it too.

        Raises:
            AdapterError: as `use`.
        """
        self._check_usable(name)
        with seeing({**view_here(), id(self): name}):
            yield

    def remove(self, name: str) -> None:
        """Delete an adapter. After the last one, the model's own weights are trainable again.

        Raises:
            AdapterError: there is no adapter of that name, or it is merged.
            ModelInTrainingError: the model is being trained.
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
        """Add the active adapter to the weights, so that it no longer costs time.

        The replaced weights stay in memory until `unmerge` restores them bit by bit.

        Raises:
            AdapterError: no adapter is active, one is merged already, or the weights are integers,
                to which an update cannot be added without loss.
            ModelInTrainingError: the model is being trained.
        """
        self._refuse_merged()
        active = self.active
        if active is None:
            raise AdapterError("merge: expected an active adapter, got none: call use(name)")
        if active != self._active:
            raise AdapterError(
                f"merge: {active!r} is active only within this using() block: leave the block and "
                f"call use({active!r})"
            )
        if self._backbone.quantization is not None:
            raise AdapterError(
                f"merge: expected float weights, got {self._backbone.quantization}. Use the "
                "adapter without merging, or load the model in a float dtype"
            )
        with self._changing():
            self._merge(self._find(active).updates)

    def unmerge(self) -> None:
        """Restore the weights from before `merge`. The adapter stays active.

        Raises:
            AdapterError: no adapter is merged.
            ModelInTrainingError: the model is being trained.
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
        """Write an adapter: a KerasHub file if the path ends in `.lora.h5`, else a PEFT folder,
        which Transformers reads.

        Args:
            path: the file or folder to make or replace.
            name: of the adapter; by default the active one.

        Raises:
            AdapterError: there is no such adapter, or the format cannot hold it.
            PresetError: the path cannot be written, or a change to the model was interrupted. An
                existing file or folder is unchanged.
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
            name: for the adapter, replacing one of that name; by default the path's last part.

        Returns:
            The name.

        Raises:
            AdapterError: the file is missing or malformed, or does not fit this model, which is
                unchanged.
            ModelInTrainingError: the model is being trained.
        """
        check_unclaimed(self._backbone)  # before reading takes time
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
        """Restore the adapters of a saved model.

        Args:
            kept: adapters by name; they replace those of the same names.
            active: the name of the active adapter.
            replaced: the kernels from before the active adapter was merged, by the paths of their
                projections; empty if it is not merged.

        Raises:
            AdapterError: an adapter does not fit, or the call is within `using`.
        """
        if id(self) in view_here():
            raise AdapterError("adapters: cannot be restored within using(): leave the block first")
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
            raise AdapterError(f"adapters: {name!r} exists already: remove it first")

    def _freeze(self) -> None:
        for layer in layers_within(self._backbone):
            layer.trainable = False

    def _thaw(self) -> None:
        for layer in layers_within(self._backbone):
            layer.trainable = True
        trained = {id(variable) for variable in self._trained}
        for variable in self._backbone.variables:
            variable.trainable = id(variable) in trained
