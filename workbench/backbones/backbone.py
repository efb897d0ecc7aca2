"""What every backbone offers: presets, LoRA, a layout for many devices, its own configuration."""

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
from workbench.backbones.layout import FittingLayoutMap
from workbench.backbones.precision import precision, quantized_policy
from workbench.backbones.quantization import OwnQuantize, quantize_layers
from workbench.backbones.saved_variables import Store, notes_problems
from workbench.backbones.tables import Table
from workbench.backbones.training_claims import check_unclaimed
from workbench.backbones.whole_changes import WholeChanges
from workbench.errors import AdapterError, SettingError
from workbench.interrupts import held
from workbench.kinds import check_arguments
from workbench.memory.door import names_exhaustion
from workbench.ports import NamedPresets, SavesPresets, ShowsTree


def keeps_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """Decorates a backbone's `__init__`: its arguments become the backbone's configuration.

    Every named argument is kept, so none can be forgotten when a preset is saved, and each is
    refused where it is not of the type that it is annotated with.
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

    keep.__signature__ = signature  # Keras asks the wrapper, not what it wraps
    return keep


class Backbone(ShowsTree, OwnQuantize, KerasFiles, WholeChanges, SavesPresets, keras.Model):
    """Base of all backbones: a functional Keras model without a task head.

    `token_embedding` is the layer that embeds token ids and projects hidden states to logits.
    `presets` maps the names of the built-in presets of the class to their metadata; `preset` is
    the handle that the backbone was loaded from, None for one built from arguments.
    """

    presets = NamedPresets()
    preset: str | None = None
    _adapters: Adapters | None = None
    # Arguments that KerasHub's class lacks, with their defaults.
    own_arguments: ClassVar[dict[str, Any]] = {}

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, dtype: Any = None, **kwargs: Any
    ) -> Self:
        """Build the backbone a preset describes.

        Args:
            preset: a built-in name, `hf://owner/repository[@revision]`,
                `kaggle://owner/model/framework/variation[/version]`, or the path of a folder
                (KerasHub's or Transformers' layout) or of a `.gguf` file. What a hub holds is
                downloaded once and kept in its library's cache; `presets.handles.resolve` says
                more.
            load_weights: False builds the architecture with random weights and downloads none.
            dtype: a Keras dtype policy; None takes float32 on CPU and bfloat16 on accelerators.
                "int8" and "int4" quantise each matrix as it is read, and compute in that dtype;
                `"int8_from_bfloat16"` names another. Integers in the preset stay as they are.
            kwargs: constructor arguments that override the preset's.

        Raises:
            PresetError: the preset is missing, malformed, of another class, or out of reach; the
                message says what to do.
            LoadCancelled: who listened to the progress stopped the load.
        """
        return ports.store().load_backbone(preset, cls, load_weights, dtype, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with name, trainable and dtype, and where there are any the
        adapters, without their numbers.

        Arguments that KerasHub lacks are left out where they have their default, so that it can
        read what is saved.
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
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild a backbone from `get_config()`: its weights and adapters begin anew."""
        config = dict(config)
        adapters = config.pop("adapters", None)
        backbone = cls(**{name: _deserialized(value) for name, value in config.items()})
        if adapters is not None:
            saved_adapters.rebuild(backbone, adapters)
        return backbone

    def save_own_variables(self, store: Store) -> None:
        """Keras calls it, to write what the layers do not hold.

        Raises:
            PresetError: a change of the model was broken off.
        """
        check_consistent(self)
        saved_adapters.write(self, store)

    @notes_problems
    def load_own_variables(self, store: Store) -> None:
        """Keras calls it before it reads the layers.

        Raises:
            AdapterError, PresetError: the file's adapters, or the file, do not fit.
            ModelInTrainingError: somebody trains the model.
        """
        check_unclaimed(self)
        saved_adapters.read(self, store)

    @property
    def tables(self) -> dict[str, Table]:
        """What the inputs that hold ids may hold, by their names."""
        return {"token_ids": Table(self.config.vocabulary_size, self.max_length)}

    def quantize(self, mode: str) -> None:
        """Hold the matrices as integers.

        All become integers or, where the call fails or is interrupted, none. The floats are freed
        at the end, so both are in memory before it. `from_preset(..., dtype="int8")` never has
        more than one matrix as both.

        "int8" has a scale for each output and rounds what a matrix is multiplied with to 8 bits
        too, as Keras does. "int4" has a scale and a zero for each 128 inputs of an output and
        rounds nothing else. Norms, biases, learned positions, the routers and experts of mixtures
        stay floats.

        Args:
            mode: "int8" or "int4".

        Raises:
            SettingError: no such mode; the model is quantized already, or computes in float16,
                which int8 does not.
            AdapterError: an adapter is merged, which could not be taken out again.
        """
        if self.adapters.merged:
            raise AdapterError(
                f"quantize: the adapter {self.adapters.active!r} is merged: call "
                "adapters.unmerge() first and use it beside the integers, or save the merged model "
                "and load it as integers"
            )
        quantize_layers(self, mode)

    @property
    def adapters(self) -> Adapters:
        """The low-rank adapters of this backbone, by name."""
        if self._adapters is None:
            object.__setattr__(self, "_adapters", Adapters(self))  # Keras would track its parts
        return self._adapters

    def enable_lora(
        self,
        rank: int,
        target_layer_names: list[str] | str | None = None,
        *,
        alpha: float | None = None,
        dropout: float = 0.0,
        name: str = "default",
    ) -> None:
        """Freeze every weight and train low-rank updates (Hu et al. 2021): `adapters.add`.

        Args:
            rank: rank of the update, at least 1.
            target_layer_names: names of the projections to adapt, "all" for every one; by default
                the query and the value projection of every attention layer.
            alpha: the update is scaled by alpha / rank; None takes the rank.
            dropout: the share of a projection's inputs that its update does not see in training.
            name: of the adapter.

        Raises:
            SettingError: a setting is impossible, or no projection has one of the names.
            AdapterError: there is an adapter of that name already.
        """
        self.adapters.add(name, rank, alpha, dropout, target_layer_names)

    def save_lora_weights(self, filepath: str | Path) -> None:
        """Write the active adapter: `adapters.save`, to a file of KerasHub's (`*.lora.h5`).

        Raises:
            AdapterError: no adapter is active, or the format cannot hold it.
            PresetError: the file cannot be written.
        """
        self.adapters.save(_lora_file(filepath))

    def load_lora_weights(self, filepath: str | Path) -> None:
        """Read a file of KerasHub's (`*.lora.h5`) into the active adapter, or into one called
        "default": `adapters.load`.

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
        """How to spread the weights over a mesh, for `keras.distribution.ModelParallel`.

        Attention is split by heads, feed-forward networks and experts by their inner width,
        embeddings by vocabulary; the other matrix axis goes over the data dimension. An axis that
        the devices do not divide stays whole.

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
    """A constructor's argument: a dtype or a part that Keras has serialised, or a plain value."""
    known = isinstance(value, dict) and "class_name" in value
    return keras.saving.deserialize_keras_object(value) if known else value


def _lora_file(path: str | Path) -> Path:
    if not str(path).endswith(".lora.h5"):
        raise AdapterError(f"filepath: expected a name that ends in .lora.h5, got {str(path)!r}")
    return Path(path)
