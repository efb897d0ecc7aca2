"""A family's Transformers files as data: settings and tensors, for reading and for writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.backbones.weights import Rules
from workbench.errors import PresetError
from workbench.formats.settings import Settings
from workbench.storage.files import CONFIG

Values = dict[str, Any]


def _nothing_more_to_read(settings: Settings, arguments: Values) -> Values:
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
    """How a family looks in the layout of Hugging Face Transformers.

    Attributes:
        model_type: the `model_type` of its `config.json`.
        architecture: the class Transformers loads it with, such as "LlamaForCausalLM".
        rules: weights in `model.safetensors`.
        keys: their settings that are arguments of ours: `{"hidden_size": "hidden_dim"}`.
        renamed: other names that files give the keys, to the name written here.
        defaults: values of keys that a file may leave out.
        fixed: settings that all models of the family share, each with the values that mean it;
            the first is written, and is what a file that leaves it out means.
        read: the arguments that take more than one key, from the settings that are left and the
            arguments found so far.
        write: the inverse of `read`: settings from the arguments.
        harmless: names of settings that do not change the network.
        ignored: names of tensors that may be present and are not used; they may hold `{i}`.
        tokenizer_class: what Transformers calls the family's SentencePiece tokenizer.
        writes: whether a backbone of these arguments is written this way, where families share
            a backbone.
        head_rules: weights of a classifier, for families that have one.
        read_head: its task's arguments, given a `config.json`; empty where it has no such head.
        write_head: the inverse, given also what the classes are called.
        read_preprocessor: arguments of the preprocessor that `preprocessor_config.json` gives,
            its converter among them; of a folder without that file, those of an empty one.
        write_preprocessor: the inverse, given a preprocessor; empty for no such file.
        match: tells families of the same `model_type` apart: given the config and the folder,
            whether it is this family.
    """

    model_type: str
    architecture: str
    rules: Rules
    keys: Mapping[str, str]
    renamed: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    read: Callable[[Settings, Values], Values] = _nothing_more_to_read
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
        """The backbone's arguments, given a `config.json`.

        Raises:
            PresetError: a setting is missing, impossible or not understood.
        """
        settings = Settings(self._with_our_names(config))
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
        """What `config.json` says of a backbone of these arguments."""
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
