"""What every task offers: a backbone, a preprocessor, presets, and training on raw inputs."""

from __future__ import annotations

from typing import Any, Self

import keras

from workbench.backbones.adapters import Adapters
from workbench.backbones.backbone import Backbone
from workbench.backbones.quantization import OwnQuantize
from workbench.backbones.whole_changes import WholeChanges
from workbench.presets.named import NamedPresets, SavesPresets
from workbench.tasks.fitting import FitsRawData
from workbench.tree.shows import ShowsTree


class Task(ShowsTree, FitsRawData, OwnQuantize, WholeChanges, SavesPresets, keras.Model):
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
        from workbench.presets.load import load_task

        return load_task(preset, cls, load_weights=load_weights, dtype=dtype, **kwargs)

    def head_config(self) -> dict[str, Any]:
        """The values of `head_arguments` and `setting_arguments`."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """Backbone and preprocessor objects beside the name, as Keras serialises them."""
        return {"backbone": self.backbone, "preprocessor": self.preprocessor, "name": self.name}

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
