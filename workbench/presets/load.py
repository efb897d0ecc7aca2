"""Loads a backbone, task, preprocessor or tokenizer from a preset."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from workbench.backbones.all_or_nothing import put_back
from workbench.backbones.precision import Precision, policy_name, precision
from workbench.backbones.weights import Rules, loading, repeats, rules_for
from workbench.errors import PresetError, WorkbenchError
from workbench.estimates.fast_dtype import fast_dtype
from workbench.families.registry import Family
from workbench.formats.tensors import TensorSource
from workbench.interrupts import held
from workbench.memory.door import names_exhaustion
from workbench.presets.catalog import find
from workbench.presets.chat_templates import known_chat_template
from workbench.presets.folders.gguf import GgufFile
from workbench.presets.folders.keras_hub import KerasHubFolder
from workbench.presets.folders.manifest import Manifest
from workbench.presets.folders.objects import SavedObject
from workbench.presets.folders.saved_head import SavedHead
from workbench.presets.folders.transformers import TransformersFolder
from workbench.presets.handles import resolve
from workbench.presets.loading import WeightLoader
from workbench.presets.memory import check_listed, check_weights
from workbench.storage.files import CONFIG, PREPROCESSOR
from workbench.storage.json_files import MAX_CONFIG, read_json, shown
from workbench.storage.paths import has_file, preset_file
from workbench.storage.progress import Progress, check, report
from workbench.storage.readers import reading
from workbench.tokenizers import Tokenizer
from workbench.tokenizers.tokenizer_classes import as_family_class


class PresetFolder(Protocol):
    """The content of a preset folder in any layout. Reading it builds nothing."""

    folder: Path
    family: Family
    weight_rules: Rules
    manifest: Manifest

    @property
    def ignored_weights(self) -> Sequence[str]: ...
    @property
    def quantization(self) -> str | None: ...
    def backbone_arguments(self) -> dict[str, Any]: ...
    def open_weights(self) -> TensorSource: ...
    def task(self) -> SavedObject | None: ...
    def head(self) -> SavedHead | None: ...
    def has_tokenizer(self) -> bool: ...
    def preprocessor_arguments(self) -> dict[str, Any]: ...
    def tokenizer(self) -> Tokenizer: ...
    def context_length(self) -> int | None: ...


def _undisturbed(load: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the folder of a preset from being replaced during the load."""

    @functools.wraps(load)
    def loading_whole(handle: str | Path, *arguments: Any, **settings: Any) -> Any:
        with reading(Path(os.path.expanduser(str(handle)))):
            return load(handle, *arguments, **settings)

    return loading_whole


@_undisturbed
@names_exhaustion("loading a model")
def load_backbone(
    handle: str | Path, cls: type, load_weights: bool = True, dtype: Any = None, **overrides: Any
) -> Any:
    """Return the backbone of a preset.

    Args:
        handle: as in `presets.handles.resolve`.
        cls: the backbone's class, or a base of it.
        load_weights: False builds it with random weights.
        dtype: a Keras dtype policy or its name; None or "auto" for the one that is fast on this
            machine.
        overrides: constructor arguments that replace the preset's.

    Raises:
        PresetError: the preset is missing, malformed or of another class, or its weights do not
            fit; nothing is half loaded.
    """
    preset = open_preset(handle, cls)
    target = _fitting(preset, preset.family.backbone, cls)
    backbone = _build_backbone(handle, preset, target, load_weights, dtype, overrides)
    backbone.preset = str(handle)
    return backbone


@_undisturbed
@names_exhaustion("loading a model")
def load_task(
    handle: str | Path, cls: type, load_weights: bool = True, dtype: Any = None, **overrides: Any
) -> Any:
    """Return a preset's task: its backbone and, if it has a tokenizer, its preprocessor.

    Args:
        handle: as in `presets.handles.resolve`.
        cls: the task's class, or a base of it such as `CausalLM`.
        load_weights: False builds it with random weights.
        dtype: a Keras dtype policy or its name; None or "auto" for the one that is fast on this
            machine.
        overrides: `backbone` and `preprocessor` replace the preset's; the others are constructor
            arguments of the backbone.

    Raises:
        PresetError: as `load_backbone`.
    """
    preset = open_preset(handle, cls)
    family = preset.family
    target = _fitting(preset, family.task, cls)
    saved = preset.task()
    own = {name: overrides.pop(name) for name in target.head_arguments if name in overrides}
    kept = {} if saved is None else saved.config
    settings = {
        name: values[name]
        for values in (kept, overrides)
        for name in target.setting_arguments
        if name in values
    }
    overrides = {name: value for name, value in overrides.items() if name not in settings}
    if "preprocessor" in overrides:
        preprocessor = overrides.pop("preprocessor")
    else:
        preprocessor = _build_preprocessor(preset, {}) if preset.has_tokenizer() else None
    if "backbone" in overrides:
        backbone = overrides.pop("backbone")
        _check_arguments(target, overrides | own | {"backbone": backbone})
    else:
        backbone = _build_backbone(handle, preset, family.backbone, load_weights, dtype, overrides)
        backbone.preset = str(handle)
    parts = {"backbone": backbone, "preprocessor": preprocessor}
    if target.head_arguments:
        task = _build_with_head(preset, target, parts, own, load_weights)
    else:
        with held(), put_back():
            task = target(**parts, **settings)
    task.preset = str(handle)
    task.context_length = _context_length(handle, preset)
    return task


def _context_length(handle: str | Path, preset: PresetFolder) -> int | None:
    """Return the longest text that the model supports, in tokens, from its files or the catalog."""
    listed = find(str(handle))
    stated = preset.context_length()
    return listed.context_length if stated is None and listed is not None else stated


@_undisturbed
def load_preprocessor(handle: str | Path, cls: type, **overrides: Any) -> Any:
    """Return a preset's preprocessor; `overrides` replace its constructor arguments.

    Raises:
        PresetError: as `load_backbone`, or the preset has no tokenizer.
    """
    preset = open_preset(handle, cls)
    _fitting(preset, preset.family.preprocessor, cls)
    return _build_preprocessor(preset, overrides)


@_undisturbed
def load_tokenizer(handle: str | Path, cls: type) -> Any:
    """Return a preset's tokenizer, with its vocabulary.

    Raises:
        PresetError: as `load_backbone`, or the preset has no tokenizer, or a Transformers folder
            holds one that `cls` cannot reproduce exactly.
    """
    preset = open_preset(handle, cls)
    _fitting(preset, preset.family.tokenizer, cls)
    tokenizer = preset.tokenizer()
    if isinstance(tokenizer, cls):
        return tokenizer
    return as_family_class(tokenizer, preset.family.tokenizer)


def load_image_converter(handle: str | Path, cls: type) -> Any:
    """Return the image converter of a preset.

    Raises:
        PresetError: there is no such preset, or it has no image converter of this class.
    """
    found = open_preset(handle, cls).preprocessor_arguments().get("image_converter")
    if not isinstance(found, cls):
        got = "none" if found is None else type(found).__name__
        raise PresetError.at(handle, "image_converter", cls.__name__, got)
    return found


def open_preset(handle: str | Path, cls: type) -> PresetFolder:
    """Find a preset's folder and read its settings. `cls` is the wanted class.

    Raises:
        PresetError: there is no preset, or it is neither a folder in KerasHub's or Transformers'
            layout nor a GGUF file.
    """
    preset = _opened(handle, cls)
    preset.manifest.check()
    return preset


def _opened(handle: str | Path, cls: type) -> PresetFolder:
    folder = resolve(handle, weights=False)
    if folder.is_file():
        return GgufFile(folder, cls)
    if not has_file(folder, CONFIG):
        return KerasHubFolder(folder, known_chat_template(handle))
    config = read_json(preset_file(folder, CONFIG), MAX_CONFIG)
    if "registered_name" in config:
        return KerasHubFolder(folder, known_chat_template(handle))
    if "model_type" in config:
        return TransformersFolder(folder, config, cls)
    got = f"the keys {shown(sorted(config))}"
    raise PresetError.at(CONFIG, "content", "registered_name or model_type", got)


def _fitting(preset: PresetFolder, found: type, asked: type) -> type:
    """Return the class to build: the preset's, or the requested one if it is a subclass of it."""
    if issubclass(found, asked):
        return found
    if issubclass(asked, found):
        return asked
    raise PresetError(
        f"{preset.folder}: the preset is of the family {preset.family.name}: "
        f"expected {found.__name__}.from_preset(...), got {asked.__name__}.from_preset(...)"
    )


def _build_backbone(
    handle: str | Path,
    preset: PresetFolder,
    cls: type,
    load_weights: bool,
    dtype: Any,
    overrides: Mapping[str, Any],
) -> Any:
    file = preset.folder.name if preset.folder.is_file() else CONFIG
    with _named_errors(file):
        arguments = {**preset.backbone_arguments(), **overrides}
    _check_arguments(cls, arguments)
    check()
    how = _precision(preset, dtype)
    arguments["dtype"] = policy_name(how)
    if not load_weights:
        report(Progress("building", 0, None, file))
        with _named_errors(file):
            return cls(**arguments)
    check_listed(handle, arguments["dtype"])
    resolve(handle)  # the weights are downloaded only now that the model is known to fit
    with closing(preset.open_weights()) as source, preset.manifest.checked():
        check_weights(handle, cls.__name__, arguments, source)
        with _named_errors(file):
            rules = rules_for(preset.weight_rules, arguments)
        loader = WeightLoader(
            source,
            rules,
            repeats(arguments),
            preset.ignored_weights,
            held=preset.quantization,
            wanted=how.mode,
        )
        with _named_errors(file), loading(loader):
            backbone = cls(**{**arguments, "dtype": how.computes})
        loader.finish()
    return backbone


def _precision(preset: PresetFolder, dtype: Any) -> Precision:
    """Return the compute dtype and the quantization mode of matrices: the preset's own or the
    requested one."""
    asked, held = precision(None if dtype == "auto" else dtype), preset.quantization
    if held is not None and asked.mode not in (None, held):
        raise PresetError.at(CONFIG, "dtype", f"{asked.mode}, as asked for", held)
    return Precision(asked.computes or fast_dtype(), asked.mode or held)


def _build_with_head(
    preset: PresetFolder, cls: type, parts: dict[str, Any], own: dict[str, Any], load_weights: bool
) -> Any:
    """Build a task with its trained head, or a new head if the preset has none or one of another
    size."""
    head = preset.head()
    arguments = {**parts, **(head.arguments if head else {}), **own}
    with _named_errors(CONFIG):
        _check_arguments(cls, arguments)
        if head is None or not load_weights:
            return cls(**arguments)
        if arguments["num_classes"] != head.arguments["num_classes"]:
            return cls(**arguments)
    with closing(head.open_weights()) as source, preset.manifest.checked():
        rules = rules_for(head.rules, arguments)
        needed = {name for rule in rules for name in rule.names}
        others = [name for name in source.names() if name not in needed]
        loader = WeightLoader(source, rules, 1, others)
        with _named_errors(CONFIG), loading(loader), held(), put_back():
            task = cls(**arguments)
        loader.finish()
    task.labels = head.labels
    return task


def _build_preprocessor(preset: PresetFolder, overrides: Mapping[str, Any]) -> Any:
    with _named_errors(PREPROCESSOR):
        arguments = {**preset.preprocessor_arguments(), **overrides}
        _check_arguments(preset.family.preprocessor, arguments)
        return preset.family.preprocessor(**arguments)


def _check_arguments(cls: type, arguments: Mapping[str, Any]) -> None:
    """Refuse unknown settings and missing required ones."""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    unknown = sorted(set(arguments) - set(parameters))
    if unknown:
        raise PresetError.at(CONFIG, shown(unknown), f"settings of {cls.__name__}", "unknown ones")
    required = {n for n, p in parameters.items() if p.default is inspect.Parameter.empty}
    missing = sorted(required - set(arguments))
    if missing:
        raise PresetError.at(CONFIG, ", ".join(missing), "a value", "none")


@contextmanager
def _named_errors(file: str) -> Iterator[None]:
    """Turn a constructor's error into one about the file that its arguments came from."""
    try:
        yield
    except PresetError:
        raise
    except (WorkbenchError, TypeError, ValueError, OverflowError) as error:
        raise PresetError(f"{file}: {error}") from error
