"""Reads a folder in the layout of Hugging Face Transformers.

It holds config.json, model.safetensors (or shards with their index), and the tokenizer's files.
Pickled weights and code are never opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import PresetError
from workbench.families.registry import match_transformers
from workbench.formats.config_reader import ConfigReader
from workbench.formats.safetensors import open_safetensors
from workbench.formats.tensors import TensorSource
from workbench.kinds import OBJECT
from workbench.presets.folders.manifest import Manifest
from workbench.presets.folders.objects import SavedObject
from workbench.presets.folders.saved_head import SavedHead, label_names
from workbench.storage.files import CONFIG, TRANSFORMERS_PREPROCESSOR
from workbench.storage.json_files import MAX_CONFIG, read_json, shown
from workbench.storage.paths import has_file, preset_file
from workbench.tokenizers import Tokenizer, load_transformers_tokenizer

_USUAL_LENGTH = 1024  # the preprocessor's default; shorter for models trained on shorter texts
_NESTED = ("image_processor", "feature_extractor")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
)


class TransformersFolder:
    """The checked content of a folder, a `PresetFolder`; nothing is built."""

    quantization = None

    def __init__(self, folder: Path, config: dict[str, Any], cls: type) -> None:
        self.folder = folder
        self._config = config
        family = match_transformers(config, folder, cls)
        if family is None:
            model_type = shown(config.get("model_type"))
            raise PresetError(f"{CONFIG}: model_type {model_type} is not a family known here")
        self.family, self._files = family
        self.weight_rules = self._files.rules
        self.ignored_weights = self._files.ignored
        self.manifest = Manifest(folder)

    def backbone_arguments(self) -> dict[str, Any]:
        """Return the backbone's constructor arguments, without the dtype."""
        return self._files.arguments(self._config)

    def open_weights(self) -> TensorSource:
        """Open the backbone's weights."""
        return open_safetensors(self.folder)

    def task(self) -> SavedObject | None:
        """Return None: these folders do not describe tasks."""
        return None

    def head(self) -> SavedHead | None:
        """Return the trained classifier, or None."""
        arguments = self._files.read_head(self._config)
        if not arguments:
            return None
        labels = label_names(self._config.get("id2label"), arguments["num_classes"])
        rules = self._files.head_rules
        return SavedHead(arguments, rules, self.open_weights, labels)

    def has_tokenizer(self) -> bool:
        """Return whether a preprocessor can be built."""
        names = ("tokenizer.json", "tokenizer.model", "vocab.txt")
        return any(has_file(self.folder, name) for name in names)

    def preprocessor_arguments(self) -> dict[str, Any]:
        """Return the preprocessor's constructor arguments; prompts start as in Transformers."""
        tokenizer = self.tokenizer()
        context = self.context_length()
        short = None if context is None or context >= _USUAL_LENGTH else context
        settings = self.family.preprocessor.transformers_settings
        return {
            "tokenizer": tokenizer,
            **settings(tokenizer.prepends_start_token, short),
            **self._files.read_preprocessor(self._preprocessor_config()),
        }

    def context_length(self) -> int | None:
        """Return the longest text that the model supports, in tokens."""
        return ConfigReader(self._config).take("max_position_embeddings", None)

    def _preprocessor_config(self) -> dict[str, Any]:
        """Return the settings for pictures or recordings. Files of version 5 nest them."""
        for name in (TRANSFORMERS_PREPROCESSOR, "processor_config.json"):
            if has_file(self.folder, name):
                config = read_json(preset_file(self.folder, name), MAX_CONFIG)
                key = next((key for key in _NESTED if key in config), None)
                config = config if key is None else config[key]
                OBJECT.check(f"{name}: {key}", config, PresetError)
                return config
        return {}

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer with its vocabulary."""
        for name in _TOKENIZER_FILES:
            if has_file(self.folder, name):
                preset_file(self.folder, name)
        return load_transformers_tokenizer(self.folder)
