"""The base of all tasks: a backbone, a preprocessor, presets, and training on raw inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import keras

from workbench import ports
from workbench.backbones.adapters import Adapters
from workbench.backbones.backbone import Backbone
from workbench.backbones.keras_files import KerasFiles
from workbench.backbones.quantization import OwnQuantize
from workbench.backbones.whole_changes import WholeChanges
from workbench.ports import NamedPresets, SavesPresets, ShowsTree
from workbench.preprocessing.preprocessor import Preprocessor
from workbench.storage.files import PREPROCESSOR
from workbench.tasks.fitting import FitsRawData

_REMEMBERED = ("preset", "context_length")


class Task(
    ShowsTree, FitsRawData, OwnQuantize, KerasFiles, WholeChanges, SavesPresets, keras.Model
):
    """A backbone with a head and, if not None, a preprocessor for raw inputs.

    `preset` is the handle the task was loaded from; None if it was built from parts.
    """

    backbone_cls: type[Backbone] = Backbone
    preprocessor_cls: type[Preprocessor] = Preprocessor
    presets = NamedPresets()
    preset: str | None = None
    context_length: int | None = None
    """Tokens of the longest text the model was made for, if its preset states it: the limit of
    conversations and of texts to inspect. With None, positions and memory set the limit."""
    head_arguments: tuple[str, ...] = ()
    """Constructor arguments that describe the weights of the task's head."""
    setting_arguments: tuple[str, ...] = ()
    """Other constructor arguments that a preset keeps."""

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, dtype: Any = None, **kwargs: Any
    ) -> Self:
        """Build the task a preset describes. On a base class, the preset decides the family.

        Args:
            preset: a built-in name, `hf://owner/repository[@revision]`,
                `kaggle://owner/model/framework/variation[/version]`, or the path of a folder
                (KerasHub's or Transformers' layout) or of a `.gguf` file. Files of a hub are
                downloaded once and kept in its library's cache; see `presets.handles.resolve`.
            load_weights: False uses random weights and downloads none.
            dtype: a Keras dtype policy; None takes float32 on CPU and bfloat16 on accelerators.
                "int8" and "int4" quantise each matrix as it is read, and compute in that dtype;
                `"int8_from_bfloat16"` names another. Integers in the preset stay as they are.
            kwargs: `preprocessor=` replaces the preset's; a classifier's `num_classes=`,
                `activation=` and `dropout=` are its own; the rest overrides backbone arguments.

        Raises:
            PresetError: the preset is missing, malformed, of another class, or out of reach; the
                message says what to do.
            LoadCancelled: a progress listener stopped the load.
        """
        return ports.store().load_task(preset, cls, load_weights, dtype, **kwargs)

    def head_config(self) -> dict[str, Any]:
        """Return the values of `head_arguments` and `setting_arguments`."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """Return the backbone's configuration and the task's own values. The preprocessor is not
        included: `save_assets` writes it to files."""
        backbone = keras.saving.serialize_keras_object(self.backbone)
        own = {name: getattr(self, name) for name in _REMEMBERED}
        return {"backbone": backbone, "name": self.name, **own, **self.head_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build a task from `get_config()`, with new weights and no preprocessor.
        `custom_objects` names backbone classes that Keras does not know."""
        config = dict(config)
        own = {name: config.pop(name, None) for name in _REMEMBERED}
        backbone = config.pop("backbone")
        built = keras.saving.deserialize_keras_object(backbone, custom_objects=custom_objects)
        task = cls(built, **config)
        for name, value in own.items():
            setattr(task, name, value)
        task.backbone.preset = task.preset
        return task

    def get_compile_config(self) -> dict[str, Any]:
        """Return how the task trains, as Keras serialises it."""
        built = self.optimizer is not None and self.optimizer.built
        return {**super().get_compile_config(), "optimizer_built": built}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config()` says."""
        config = keras.saving.deserialize_keras_object(config)
        built = config.pop("optimizer_built")
        self.compile(**config)
        if built:
            self.optimizer.build(self.trainable_variables)

    def save_assets(self, folder: str) -> None:
        """Write the preprocessor's files into a folder of a `.keras` file; called by Keras."""
        if self.preprocessor is not None:
            self.preprocessor.save_to_preset(folder)

    def load_assets(self, folder: str) -> None:
        """Read the files that `save_assets` wrote; called by Keras."""
        if (Path(folder) / PREPROCESSOR).is_file():
            self.preprocessor = self.preprocessor_cls.from_preset(folder)

    @property
    def adapters(self) -> Adapters:
        """The low-rank adapters of the backbone, by name."""
        return self.backbone.adapters

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Set how the task trains, as `keras.Model.compile`. If it fails, nothing changes."""
        with self._compiling():
            super().compile(*args, **kwargs)

    def quantize(  # pyright: ignore[reportIncompatibleMethodOverride]  # Keras's modes are others
        self, mode: str
    ) -> None:
        """Call `backbone.quantize(mode)`. A task that was trained is compiled with the defaults
        again, because its optimizer's state belongs to the weights before they were integers.

        Raises:
            SettingError: as `Backbone.quantize`.
        """
        with self._changing():
            self.backbone.quantize(mode)
            self.train_function = self.test_function = self.predict_function = None
            if self.optimizer is not None and self.optimizer.built:
                self.compile()
