"""The base of all backbones: presets, adapters, quantisation, configuration, device layouts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import keras

from workbench import ports
from workbench.backbones import saved_adapters
from workbench.backbones.adapters import Adapters
from workbench.backbones.all_or_nothing import put_back
from workbench.backbones.consistency import check_consistent
from workbench.backbones.keras_files import KerasFiles
from workbench.backbones.precision import precision, quantized_policy
from workbench.backbones.quantization import OwnQuantize, quantize_layers
from workbench.backbones.saved_variables import Store, notes_problems
from workbench.backbones.sharding import FittingLayoutMap
from workbench.backbones.tables import Table
from workbench.backbones.training_claims import check_unclaimed
from workbench.backbones.whole_changes import WholeChanges
from workbench.errors import AdapterError, SettingError
from workbench.interrupts import held
from workbench.kinds import check_arguments
from workbench.memory.door import names_exhaustion
from workbench.ports import NamedPresets, SavesPresets, ShowsTree


def keeps_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """Decorate a backbone's `__init__`: check its arguments, and keep them as the configuration.

    Every named argument is kept, so saving a preset cannot forget one. An argument that does not
    match its annotation raises SettingError.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    @names_exhaustion("building a model")
    def keep(self: Backbone, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        check_arguments(type(self).__name__, init, bound.arguments)
        bound.apply_defaults()
        asked = precision(bound.arguments.get("dtype"))
        if asked.mode is not None:
            bound.arguments["dtype"] = asked.computes
        with held(), put_back():
            init(*bound.args, **bound.kwargs)
        dropped = {"self", "dtype", "kwargs"}
        self.arguments = {k: v for k, v in bound.arguments.items() if k not in dropped}
        if asked.mode is not None:
            self.quantize(asked.mode)

    # Keras inspects the wrapper itself.
    vars(keep)["__signature__"] = signature
    return keep


class Backbone(  # pyright: ignore[reportIncompatibleVariableOverride]  # a property is read
    ShowsTree, OwnQuantize, KerasFiles, WholeChanges, SavesPresets, keras.Model
):
    """Base of all backbones: a functional Keras model without a task head.

    `token_embedding` is the layer that embeds token ids and projects hidden states to logits.
    `presets` maps the names of the class's built-in presets to their metadata. `preset` is the
    handle that the backbone was loaded from, None if it was built from arguments.
    """

    presets = NamedPresets()
    preset: str | None = None
    _adapters: Adapters | None = None
    # Arguments that KerasHub's class does not have, with their defaults.
    own_arguments: ClassVar[dict[str, Any]] = {}

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, dtype: Any = None, **kwargs: Any
    ) -> Self:
        """Load the backbone of a preset.

        Args:
            preset: a built-in name, `hf://owner/repository[@revision]`,
                `kaggle://owner/model/framework/variation[/version]`, or the path of a folder
                (KerasHub's or Transformers' layout) or of a `.gguf` file. Hub files are
                downloaded once to the cache of the hub's library; see `presets.handles.resolve`.
            load_weights: False builds the architecture with random weights and downloads none.
            dtype: a Keras dtype policy; None takes float32 on CPU and bfloat16 on accelerators.
                "int8" and "int4" quantise each matrix as it is read, and compute in that dtype;
                `"int8_from_bfloat16"` names another. Integers in the preset stay integers.
            kwargs: constructor arguments that override the preset's.

        Raises:
            PresetError: the preset is missing, malformed, of another class, or cannot be
                downloaded; the message says what to do.
            MemoryTooSmallError: the model does not fit into the free memory.
            LoadCancelled: a progress listener stopped the load.
        """
        return ports.store().load_backbone(preset, cls, load_weights, dtype, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, name, trainable, dtype, and the settings of the
        adapters if there are any.

        Arguments that KerasHub does not have are left out at their defaults, so that it can read
        the configuration.
        """
        mode = self.quantization
        policy = self.dtype_policy if mode is None else quantized_policy(mode, self.dtype_policy)
        policy = keras.dtype_policies.serialize(policy)
        kept = {
            name: value
            for name, value in self.arguments.items()
            if name not in self.own_arguments or value != self.own_arguments[name]
        }
        own = {"name": self.name, "trainable": self.trainable, "dtype": policy}
        adapters = {"adapters": saved_adapters.described(self)} if self.adapters else {}
        return {**own, **kept, **adapters}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a backbone from `get_config()`, with new weights and new adapters."""
        config = dict(config)
        adapters = config.pop("adapters", None)
        backbone = cls(**{name: _deserialized(value) for name, value in config.items()})
        if adapters is not None:
            saved_adapters.rebuild(backbone, adapters)
        return backbone

    def save_own_variables(self, store: Store) -> None:
        """Write what the layers do not hold; called by Keras.

        Raises:
            PresetError: a change to the model was interrupted.
        """
        check_consistent(self)
        saved_adapters.write(self, store)

    @notes_problems
    def load_own_variables(self, store: Store) -> None:
        """Read what the layers do not hold; called by Keras before it reads the layers.

        Raises:
            AdapterError, PresetError: the file's adapters, or the file, do not fit.
            ModelInTrainingError: the model is being trained.
        """
        check_unclaimed(self)
        saved_adapters.read(self, store)

    @property
    def tables(self) -> dict[str, Table]:
        """The ranges of the model's inputs that hold ids, by their names."""
        return {"token_ids": Table(self.config.vocabulary_size, self.max_length)}

    def quantize(  # pyright: ignore[reportIncompatibleMethodOverride]  # has none of Keras's settings
        self, mode: str
    ) -> None:
        """Quantise all matrices to integers, or none if the call fails or is interrupted.

        The floats are freed at the end, so memory must hold both. `from_preset(..., dtype="int8")`
        holds only one matrix at a time in both forms.

        "int8" has one scale for each output and rounds the matrix's inputs to 8 bits too, as Keras
        does. "int4" has a scale and a zero point for each 128 inputs of an output, and does not
        round its inputs. Norms, biases, learned positions, and the routers and experts of mixtures
        stay floats.

        Args:
            mode: "int8" or "int4".

        Raises:
            SettingError: the mode is unknown, the model is quantised already, or it computes in
                float16, which int8 does not support.
            AdapterError: an adapter is merged: it could not be unmerged from integers.
            MemoryTooSmallError: memory does not hold the integers beside the floats.
            ModelInTrainingError: the model is being trained.
        """
        if self.adapters.merged:
            raise AdapterError(
                f"quantize: the adapter {self.adapters.active!r} is merged: call "
                "adapters.unmerge() first, or save the merged model and load it as integers"
            )
        quantize_layers(self, mode)

    @property
    def adapters(self) -> Adapters:
        """The low-rank adapters of this backbone, by name."""
        if self._adapters is not None:
            return self._adapters
        adapters = Adapters(self)
        object.__setattr__(self, "_adapters", adapters)  # Keras would track its parts
        return adapters

    def enable_lora(
        self,
        rank: int,
        target_layer_names: list[str] | str | None = None,
        *,
        alpha: float | None = None,
        dropout: float = 0.0,
        name: str = "default",
    ) -> None:
        """Freeze the weights and train low-rank updates (Hu et al. 2021); see `adapters.add`.

        Args:
            rank: of the update, at least 1.
            target_layer_names: names of the projections to update, "all" for every one; by default
                the query and value projections of all attention layers.
            alpha: the update is scaled by alpha / rank; None scales by 1.
            dropout: dropout rate on the update's inputs in training, in [0, 1).
            name: of the adapter.

        Raises:
            SettingError: a setting is out of range, or no projection has one of the names.
            AdapterError: an adapter of that name exists already.
        """
        self.adapters.add(name, rank, alpha, dropout, target_layer_names)

    def save_lora_weights(self, filepath: str | Path) -> None:
        """Write the active adapter to a KerasHub file (`*.lora.h5`); see `adapters.save`.

        Raises:
            AdapterError: no adapter is active, or the format cannot hold it.
            PresetError: the file cannot be written.
        """
        self.adapters.save(_lora_file(filepath))

    def load_lora_weights(self, filepath: str | Path) -> None:
        """Read a KerasHub file (`*.lora.h5`) into the active adapter, or into a new one named
        "default"; see `adapters.load`.

        Raises:
            AdapterError: the file is missing or malformed, or does not fit this model.
        """
        self.adapters.load(_lora_file(filepath), self.adapters.active or "default")

    @staticmethod
    def get_layout_map(
        device_mesh: keras.distribution.DeviceMesh,
        model_parallel_dim_name: str = "model",
        data_parallel_dim_name: str = "batch",
    ) -> keras.distribution.LayoutMap:
        """Make a map of how to spread the weights over a mesh, for
        `keras.distribution.ModelParallel`.

        Attention is split by heads, feed-forward networks and experts by their inner width, and
        embeddings by vocabulary; the other axis of a matrix is split over the data dimension. An
        axis stays whole if its size is no multiple of the number of devices.

        Raises:
            SettingError: the mesh lacks one of the two dimensions.
        """
        model, data = model_parallel_dim_name, data_parallel_dim_name
        for name in (model, data):
            if name not in device_mesh.axis_names:
                raise SettingError(
                    f"get_layout_map: expected a mesh dimension named {name!r}, "
                    f"got {device_mesh.axis_names}"
                )
        layout = FittingLayoutMap(device_mesh)
        layout["token_embedding/embeddings"] = (model, data)
        layout["token_embedding/reverse_embeddings"] = (data, model)
        layout[".*attention/(query|key|value)/kernel"] = (model, None, data)
        layout[".*attention/output/kernel"] = (data, model, None)
        layout[".*mlp/(gate|up)/kernel"] = (model, data)
        layout[".*mlp/down/kernel"] = (data, model)
        layout[".*mlp/experts/(gate|up)"] = (None, model, data)
        layout[".*mlp/experts/down"] = (None, data, model)
        layout[".*mlp/shared/(gate|up)/kernel"] = (model, data)
        layout[".*mlp/shared/down/kernel"] = (data, model)
        layout[".*mlp/(router|shared_gate)/kernel"] = (None, data)
        layout["audio/conv[0-9]/kernel"] = (None, data, model)
        layout["image_encoder/patch_embedding/kernel"] = (data, None, None, None)
        layout["image_connector/projection/kernel"] = (data, model)
        return layout


def _deserialized(value: Any) -> Any:
    """Return a constructor's argument, deserialised if Keras serialised it."""
    known = isinstance(value, dict) and "class_name" in value
    return keras.saving.deserialize_keras_object(value) if known else value


def _lora_file(path: str | Path) -> Path:
    if not str(path).endswith(".lora.h5"):
        raise AdapterError(f"filepath: expected a name ending in .lora.h5, got {str(path)!r}")
    return Path(path)
