"""Reads a preset folder in KerasHub's layout.

It holds config.json, model.weights.h5 (or shards) and optionally task.json, preprocessor.json,
tokenizer.json and assets/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.backbones.precision import MODES
from workbench.errors import PresetError, WorkbenchError
from workbench.families.registry import Family, family_of
from workbench.formats.hdf5 import Hdf5File, open_hdf5
from workbench.formats.tensors import TensorSource
from workbench.presets.folders.manifest import Manifest
from workbench.presets.folders.objects import NESTED, SavedObject, read_object
from workbench.presets.folders.saved_head import SavedHead
from workbench.storage.files import (
    ASSETS,
    CHAT_TEMPLATE,
    CONFIG,
    CONVERTERS,
    PREPROCESSOR,
    TASK,
    TASK_WEIGHTS,
    TOKENIZER,
)
from workbench.storage.json_files import MAX_CONFIG, read_json, shown
from workbench.storage.paths import has_file, plain_name, preset_file
from workbench.tokenizers import Tokenizer, TransformersTokenizer
from workbench.tokenizers.files import read_text

_PARTS = {
    CONFIG: NESTED["backbone"],
    TASK: ("backbone", "preprocessor"),
    PREPROCESSOR: NESTED["preprocessor"],
}


class KerasHubFolder:
    """The checked content of a folder, a `PresetFolder`; nothing is built.

    `chat_template` is for the tokenizer if the folder holds none.
    """

    def __init__(self, folder: Path, chat_template: str | None = None) -> None:
        self.folder = folder
        self._chat_template = chat_template
        self._backbone = self._read(CONFIG)
        described = self._backbone or self._read(PREPROCESSOR) or self._read(TOKENIZER)
        if described is None:
            raise PresetError(f"{folder}: expected {CONFIG}, found none")
        self.family: Family = family_of(described.cls)
        if self._backbone is not None:
            self._expect(self._backbone, self.family.backbone)
        self.quantization = self._mode()
        self.weight_rules = self.family.keras_hub
        self.ignored_weights = self.family.keras_hub_ignored
        self.manifest = Manifest(folder)

    def _mode(self) -> str | None:
        """Return the quantization mode of the backbone's weights."""
        dtype = None if self._backbone is None else self._backbone.dtype
        return dtype if dtype in MODES else None

    def backbone_arguments(self) -> dict[str, Any]:
        """Return the backbone's constructor arguments, without the dtype."""
        if self._backbone is None:
            raise PresetError(f"{self.folder}: the preset has no backbone ({CONFIG})")
        return self._backbone.config | _built(self._backbone)

    def open_weights(self) -> TensorSource:
        """Open the backbone's weights."""
        return open_hdf5(self.folder)

    def task(self) -> SavedObject | None:
        """Return the content of task.json; its backbone must match config.json."""
        task = self._read(TASK)
        if task is None:
            return None
        if self._has_head_file() and not self.family.keras_hub_head_rules:
            raise PresetError(f"{self.folder}: {TASK_WEIGHTS} holds weights this family has not")
        self._expect(task, self.family.task)
        self._check_same_backbone(task.parts.get("backbone"))
        return task

    def head(self) -> SavedHead | None:
        """Return the trained classifier, or None."""
        task = self.task()
        if task is None or not has_file(self.folder, TASK_WEIGHTS):
            return None
        arguments = {k: task.config[k] for k in task.cls.head_arguments if k in task.config}
        weights = preset_file(self.folder, TASK_WEIGHTS)
        return SavedHead(arguments, self.family.keras_hub_head_rules, lambda: Hdf5File(weights))

    def _has_head_file(self) -> bool:
        """Return whether there are head weights; a file that was not saved with the rest is
        ignored."""
        stated = TASK_WEIGHTS in self.manifest or not self.manifest
        return stated and has_file(self.folder, TASK_WEIGHTS)

    def _check_same_backbone(self, nested: SavedObject | None) -> None:
        if nested is None or nested.cls is not self.family.backbone:
            raise PresetError.at(TASK, "backbone", self.family.backbone.__name__, "another class")
        ours = {} if self._backbone is None else _values(self._backbone)
        theirs = _values(nested)
        differing = sorted(key for key in ours.keys() & theirs if ours[key] != theirs[key])
        if differing:
            expected = f"the values of {CONFIG}"
            raise PresetError.at(TASK, f"backbone: {shown(differing)}", expected, "others")

    def has_tokenizer(self) -> bool:
        """Return whether a preprocessor can be built."""
        return has_file(self.folder, TOKENIZER) or has_file(self.folder, PREPROCESSOR)

    def preprocessor_arguments(self) -> dict[str, Any]:
        """Return the preprocessor's constructor arguments, with the tokenizer built."""
        saved = self._read(PREPROCESSOR)
        if saved is None:
            return {"tokenizer": self.tokenizer(), **self._converters({})}
        self._expect(saved, self.family.preprocessor)
        config = {key: item for key, item in saved.config.items() if key != "config_file"}
        tokenizer = self._build_tokenizer(saved.parts.get("tokenizer"))
        self._check_beside(saved.parts)
        return {**config, "tokenizer": tokenizer, **self._converters(saved.parts)}

    def context_length(self) -> None:
        """Return None: these files do not state it."""

    def _converters(self, parts: Mapping[str, SavedObject | None]) -> dict[str, Any]:
        """Return the image or audio converters, from the preprocessor or from files of their
        own."""
        found = {}
        for name, cls in self.family.converters.items():
            saved = parts[name] if name in parts else self._read(CONVERTERS[name])
            if saved is not None:
                self._expect(saved, cls)
                found[name] = _converter(saved)
        return found

    def _check_beside(self, parts: Mapping[str, SavedObject | None]) -> None:
        """Check the files of parts that the preprocessor also holds; they are otherwise unused."""
        for name, file in {"tokenizer": TOKENIZER, **CONVERTERS}.items():
            part, beside = parts.get(name), self._read(file)
            if part is None or beside is None:
                continue
            self._expect(beside, part.cls)
            _without_assets(beside) if name == "tokenizer" else _converter(beside)

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer with its vocabulary."""
        return self._build_tokenizer(self._read(TOKENIZER))

    def _read(self, name: str) -> SavedObject | None:
        if not has_file(self.folder, name):
            return None
        content = read_json(preset_file(self.folder, name), MAX_CONFIG)
        return read_object(content, name, _PARTS.get(name, ()))

    def _build_tokenizer(self, saved: SavedObject | None) -> Tokenizer:
        if saved is None:
            raise PresetError(f"{self.folder}: the preset has no tokenizer ({TOKENIZER})")
        if saved.cls is not TransformersTokenizer:
            self._expect(saved, self.family.tokenizer)
        where = f"{saved.file}: config_file"
        config_file = plain_name(saved.config.get("config_file", TOKENIZER), where)
        tokenizer = _without_assets(saved)
        place = (ASSETS, config_file.partition(".")[0])
        for asset in tokenizer.file_assets:
            preset_file(self.folder, *place, asset)
        tokenizer.load_assets(self.folder.joinpath(*place))
        tokenizer.chat_template = self._chat_template
        if has_file(self.folder, CHAT_TEMPLATE):
            tokenizer.chat_template = read_text(preset_file(self.folder, CHAT_TEMPLATE))
        return tokenizer

    def _expect(self, saved: SavedObject, cls: type) -> None:
        """Refuse an object of another class."""
        if saved.cls is not cls:
            raise PresetError.at(saved.file, "class_name", cls.__name__, saved.cls.__name__)


def _without_assets(saved: SavedObject) -> Tokenizer:
    """Build a tokenizer without its vocabulary."""
    with _naming(saved.file):
        return saved.cls.from_config({**saved.config, "dtype": saved.dtype})


def _converter(saved: SavedObject) -> Any:
    with _naming(saved.file):
        return saved.build()


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Turn a constructor's error into one about the file that its arguments came from."""
    try:
        yield
    except (WorkbenchError, TypeError) as error:
        raise PresetError(f"{file}: {error}") from error


def _built(saved: SavedObject) -> dict[str, Any]:
    """Build the parts of an object, by key."""
    return {key: None if part is None else part.build() for key, part in saved.parts.items()}


def _values(saved: SavedObject) -> dict[str, Any]:
    """Return the settings of an object and its parts as plain values."""
    parts = {key: part and (part.cls, _values(part)) for key, part in saved.parts.items()}
    return saved.config | parts
