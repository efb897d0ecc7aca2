"""What `adapter_config.json` of a PEFT folder says of a LoRA adapter.

Read with the rule that nothing which changes the numbers of a model may pass unseen: a setting
that is not known here may only say no, nothing or zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import AdapterError
from workbench.presets.json_files import first, shown

CONFIG = "adapter_config.json"

# Settings that change the model, with the values that do not.
_FIXED: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "use_dora": (False,),
    "lora_bias": (False,),
    "use_qalora": (False,),
    "modules_to_save": (None, []),
    "target_parameters": (None, []),
    "trainable_token_indices": (None, [], {}),
    "layer_replication": (None, []),
    "init_lora_weights": (True, False, None, "gaussian", "eva", "orthogonal"),
}
# Settings of training, of where updates are, and of other programs.
_HARMLESS = frozenset(
    (
        *("task_type", "auto_mapping", "peft_version", "revision", "inference_mode"),
        *("base_model_name_or_path", "target_modules", "exclude_modules", "fan_in_fan_out"),
        *("layers_to_transform", "layers_pattern", "megatron_config", "megatron_core"),
        *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "runtime_config"),
        *("qalora_group_size", "ensure_weight_tying"),
    )
)
_READ = frozenset(
    ("r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern")
)
_MAX_RANK = 2**20
_MAX_PATTERNS = 10_000
_BY_NAME = "by names of modules, no regular expressions"
_PLAIN = re.compile(r"\^?[\w.]+")


@dataclass(frozen=True)
class PeftConfig:
    """The settings that the numbers depend on.

    Attributes:
        rank, alpha: of every module that no pattern names.
        dropout: share of inputs that updates do not see in training.
        by_root: whether an update is scaled by alpha / sqrt(rank) (Kalajdzievski 2023,
            arXiv:2312.03732), not by alpha / rank.
        ranks, alphas: those of single modules, by the ends of their names.
        base: what the adapter was trained on, where the file says so.
    """

    rank: int
    alpha: float
    dropout: float
    by_root: bool
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    base: str | None

    def rank_of(self, module: str) -> int:
        """The rank of a module's update."""
        return _of(self.ranks, module, self.rank)

    def scale_of(self, module: str) -> float:
        """What a module's B A is multiplied with."""
        alpha, rank = _of(self.alphas, module, self.alpha), self.rank_of(module)
        return alpha / (math.sqrt(rank) if self.by_root else rank)


def _of(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """The value of the first pattern that is the module's name or the end of it, from a dot on."""
    for pattern, value in patterns.items():
        name = pattern.removeprefix("^")
        if module == name or (name == pattern and module.endswith("." + name)):
            return value
    return default


def parse_config(given: Mapping[str, Any]) -> PeftConfig:
    """The settings of an `adapter_config.json`.

    Raises:
        AdapterError: it describes another kind of adapter, has a value that is impossible, or a
            setting that is not understood and not empty.
    """
    problems = [*_unfit(given), *_wrong(given)]
    if problems:
        raise AdapterError(f"{CONFIG}: {first(problems)}")
    base = given.get("base_model_name_or_path")
    return PeftConfig(
        rank=given["r"],
        alpha=given["lora_alpha"],
        dropout=given.get("lora_dropout") or 0.0,
        by_root=given.get("use_rslora") or False,
        ranks=given.get("rank_pattern") or {},
        alphas=given.get("alpha_pattern") or {},
        base=base or None,
    )


def _unfit(given: Mapping[str, Any]) -> list[str]:
    """Settings that make it another kind of adapter, or that may."""
    problems = []
    if "peft_type" not in given:
        problems.append("peft_type: expected 'LORA', got nothing")
    for key, value in given.items():
        if key in _FIXED:
            if not any(_same(value, usual) for usual in _FIXED[key]):
                expected = " or ".join(map(repr, _FIXED[key]))
                problems.append(f"{key}: expected {expected}, got {shown(value)}")
        elif key not in _HARMLESS | _READ and value not in (None, False, 0, "", [], {}):
            problems.append(f"{shown(key)}: this setting is not known here, got {shown(value)}")
    return problems


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _wrong(given: Mapping[str, Any]) -> list[str]:
    """Settings that are read and have an impossible value."""
    checks = {
        "r": ("an integer of at least 1", _is_rank),
        "lora_alpha": ("a number", _is_number),
        "lora_dropout": ("a share of 0 to below 1", _is_share),
        "use_rslora": ("true or false", _is_flag),
        "rank_pattern": (
            "ranks by names of modules, no regular expressions",
            lambda v: _is_table(v, _is_rank),
        ),
        "alpha_pattern": (
            "numbers by names of modules, no regular expressions",
            lambda v: _is_table(v, _is_number),
        ),
        "base_model_name_or_path": ("a name", lambda v: v is None or isinstance(v, str)),
    }
    missing = object()
    problems = []
    for key, (expected, right) in checks.items():
        value = given.get(key, missing)
        required = key in ("r", "lora_alpha")
        if value is missing and required:
            problems.append(f"{key}: expected {expected}, got nothing")
        elif value is not missing and not right(value):
            problems.append(f"{key}: expected {expected}, got {shown(value)}")
    return problems


def _is_rank(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _MAX_RANK


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 2**53


def _is_share(value: Any) -> bool:
    return value is None or (_is_number(value) and 0 <= value < 1)


def _is_flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _is_table(value: Any, right: Any) -> bool:
    """Names, whole or their ends. PEFT takes regular expressions here, which one from a stranger
    may make run for ever."""
    if value is None:
        return True
    return (
        isinstance(value, dict)
        and len(value) <= _MAX_PATTERNS
        and all(_PLAIN.fullmatch(key) and right(one) for key, one in value.items())
    )
