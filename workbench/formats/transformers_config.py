"""A family's Transformers files as data: settings and tensors, to read and write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.backbones.weights import Rules
from workbench.errors import PresetError
from workbench.formats.config_reader import ConfigReader
from workbench.storage.files import CONFIG

Values = dict[str, Any]


def _nothing_more_to_read(settings: ConfigReader, arguments: Values) -> Values:
    return {}


def _nothing_more_to_write(arguments: Mapping[str, Any]) -> Values:
    return {}


def _any_arguments(arguments: Mapping[str, Any]) -> bool:
    return True


def _nothing(of: Any) -> Values:
    return {}


def _no_head_to_write(head: Mapping[str, Any], labels: tuple[str, ...]) -> Values:
    return {}


def _any_folder(config: Mapping[str, Any], folder: Path) -> bool:
    return True


@dataclass(frozen=True)
class Transformers:
    """The form of a family's files in the layout of Hugging Face Transformers.

    Attributes:
        model_type: the `model_type` of its `config.json`.
        architecture: the class that Transformers loads, such as "LlamaForCausalLM".
        rules: weights in `model.safetensors`.
        keys: their settings that equal our arguments: `{"hidden_size": "hidden_dim"}`.
        renamed: alternative names of keys in files, to the name in `keys`.
        defaults: values of keys that a file may omit.
        fixed: settings that all models of the family share, each with its equivalent values. The
            first is written, and is the default for a file that omits it.
        read: returns the arguments that need more than one key, given the remaining settings and
            the arguments found so far.
        write: the inverse of `read`: returns settings, given the arguments.
        harmless: names of settings that do not change the network.
        ignored: names of tensors that may be present and stay unused; they may hold `{i}`.
        tokenizer_class: the family's SentencePiece tokenizer class in Transformers.
        writes: returns whether a backbone with these arguments is written in this form, for
            families that share a backbone.
        head_rules: weights of a classifier, if the family has one.
        read_head: returns its task's arguments from a `config.json`; empty without such a head.
        write_head: the inverse, which also gets the names of the classes.
        read_preprocessor: returns the preprocessor's arguments, including its converter, from
            `preprocessor_config.json`; a missing file counts as empty.
        write_preprocessor: the inverse, given a preprocessor; empty if there is no such file.
        match: distinguishes families of the same `model_type`: returns whether a config and its
            folder are of this family.
    """

    model_type: str
    architecture: str
    rules: Rules
    keys: Mapping[str, str]
    renamed: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    read: Callable[[ConfigReader, Values], Values] = _nothing_more_to_read
    write: Callable[[Mapping[str, Any]], Values] = _nothing_more_to_write
    harmless: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    tokenizer_class: str = "LlamaTokenizer"
    writes: Callable[[Mapping[str, Any]], bool] = _any_arguments
    head_rules: Rules = ()
    read_head: Callable[[Mapping[str, Any]], Values] = _nothing
    write_head: Callable[[Mapping[str, Any], tuple[str, ...]], Values] = _no_head_to_write
    read_preprocessor: Callable[[Mapping[str, Any]], Values] = _nothing
    write_preprocessor: Callable[[Any], Values] = _nothing
    match: Callable[[Mapping[str, Any], Path], bool] = _any_folder

    def arguments(self, config: Mapping[str, Any]) -> Values:
        """Return the backbone's arguments from a `config.json`.

        Raises:
            PresetError: a setting is missing, impossible or unknown.
        """
        settings = ConfigReader(self._with_our_names(config))
        arguments = {
            ours: settings.take(theirs, *self._default(theirs))
            for theirs, ours in self.keys.items()
        }
        for key, values in self.fixed.items():
            settings.expect(key, *values)
        arguments |= self.read(settings, arguments)
        settings.finish(harmless=self.harmless)
        return arguments

    def config(self, arguments: Mapping[str, Any]) -> Values:
        """Return the `config.json` of a backbone with these arguments."""
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            **{theirs: arguments[ours] for theirs, ours in self.keys.items()},
            **{key: values[0] for key, values in self.fixed.items()},
            **self.write(arguments),
        }

    def _with_our_names(self, config: Mapping[str, Any]) -> Values:
        named: Values = {}
        for key, value in config.items():
            name = self.renamed.get(key, key)
            if named.setdefault(name, value) != value:
                raise PresetError.at(CONFIG, f"{name} and {key}", "one value", "two")
        return named

    def _default(self, key: str) -> tuple[Any, ...]:
        return (self.defaults[key],) if key in self.defaults else ()
