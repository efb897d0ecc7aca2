"""What every task offers: a backbone, a preprocessor, presets, and training on raw inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import keras

from workbench import ports
from workbench.backbones.adapters import Adapters
from workbench.backbones.backbone import Backbone
from workbench.backbones.keras_files import KerasFiles
from workbench.backbones.quantization import OwnQuantize
from workbench.backbones.tables import Name
from workbench.backbones.whole_changes import WholeChanges
from workbench.ports import NamedPresets, SavesPresets, ShowsTree
from workbench.preprocessing.preprocessor import Preprocessor
from workbench.storage.files import PREPROCESSOR
from workbench.tasks.fitting import FitsRawData

_REMEMBERED = ("preset", "context_length")


class Task(
    ShowsTree, FitsRawData, OwnQuantize, KerasFiles, WholeChanges, SavesPresets, keras.Model
):
    """A backbone with a head and, unless it is None, a preprocessor for raw inputs.

    `preset` is the handle the task was loaded from, None for one built from parts.
    """

    backbone_cls: type[Backbone] = Backbone
    presets = NamedPresets()
    preset: str | None = None
    context_length: int | None = None
    """Tokens of the longest text the model was made for, where its preset states it: the limit of
    conversations and of texts to inspect. None leaves it to the positions and the memory."""
    head_arguments: tuple[str, ...] = ()
    """Arguments of the constructor that describe weights of the task's own."""
    setting_arguments: tuple[str, ...] = ()
    """Other arguments of the constructor that a preset keeps."""

    @property
    def preprocessor(self) -> Preprocessor | None:
        """What turns raw inputs into arrays; None for a model that is fed arrays."""
        return self._preprocessor

    @preprocessor.setter
    def preprocessor(self, value: Preprocessor | None) -> None:
        self._preprocessor = value
        if isinstance(value, Preprocessor):
            tables = self.backbone.tables.items()
            value.table_rows = min(t.rows for name, t in tables if name.endswith("token_ids"))

    @property
    def _token_name(self) -> Name | None:
        """What the tokenizer calls an id, for messages."""
        return None if self.preprocessor is None else self.preprocessor.tokenizer.token_text

    @classmethod
    def from_preset(
        cls, preset: str, load_weights: bool = True, dtype: Any = None, **kwargs: Any
    ) -> Self:
        """Build the task a preset describes; called on a base class, the family follows from it.

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
            kwargs: `preprocessor=` replaces the preset's; a classifier's `num_classes=`,
                `activation=` and `dropout=` are its own; the rest overrides backbone arguments.

        Raises:
            PresetError: the preset is missing, malformed, of another class, or out of reach; the
                message says what to do.
            LoadCancelled: who listened to the progress stopped the load.
        """
        return ports.store().load_task(preset, cls, load_weights, dtype, **kwargs)

    def head_config(self) -> dict[str, Any]:
        """The values of `head_arguments` and `setting_arguments`."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """The backbone's configuration beside the task's own values. The preprocessor has files,
        and is saved as a preset: `save_assets`."""
        backbone = keras.saving.serialize_keras_object(self.backbone)
        own = {name: getattr(self, name) for name in _REMEMBERED}
        return {"backbone": backbone, "name": self.name, **own, **self.head_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild a task from `get_config()`: its weights begin anew, without a preprocessor."""
        config = dict(config)
        own = {name: config.pop(name, None) for name in _REMEMBERED}
        task = cls(keras.saving.deserialize_keras_object(config.pop("backbone")), **config)
        for name, value in own.items():
            setattr(task, name, value)
        task.backbone.preset = task.preset
        return task

    def get_compile_config(self) -> dict[str, Any]:
        """How the task trains, as Keras serialises it."""
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
        """Keras calls it, to write files into a folder of a `.keras` file: the preprocessor's."""
        if self.preprocessor is not None:
            self.preprocessor.save_to_preset(folder)

    def load_assets(self, folder: str) -> None:
        """Keras calls it, to read what `save_assets` wrote."""
        if (Path(folder) / PREPROCESSOR).is_file():
            self.preprocessor = self.preprocessor_cls.from_preset(folder)

    @property
    def adapters(self) -> Adapters:
        """The low-rank adapters of the backbone, by name."""
        return self.backbone.adapters

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.compile`: sets how the task trains, or where it fails nothing."""
        with self._compiling():
            super().compile(*args, **kwargs)

    def quantize(self, mode: str) -> None:
        """`backbone.quantize(mode)`. A task that has been trained is compiled with defaults again:
        its optimizer's state is of weights that are integers now.

        Raises:
            SettingError: as `Backbone.quantize`.
        """
        with self._changing():
            self.backbone.quantize(mode)
            self.train_function = self.test_function = self.predict_function = None
            if self.optimizer is not None and self.optimizer.built:
                self.compile()
