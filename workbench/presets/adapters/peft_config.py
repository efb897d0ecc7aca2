"""Reads the LoRA settings in the `adapter_config.json` of a PEFT folder.

No setting that changes the numbers of a model may be ignored: an unknown setting must be false,
    empty or zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import AdapterError, shown
from workbench.kinds import FLAG, NOTHING, NUMBER, RATE, TEXT, Kind, integer, one_of
from workbench.storage.json_files import first

CONFIG = "adapter_config.json"

# Settings that can change the model, with the values that leave it unchanged.
_FIXED = {
    "peft_type": one_of("LORA"),
    "bias": one_of("none"),
    "use_dora": one_of(False),
    "lora_bias": one_of(False),
    "use_qalora": one_of(False),
    "modules_to_save": one_of(None, []),
    "target_parameters": one_of(None, []),
    "trainable_token_indices": one_of(None, [], {}),
    "layer_replication": one_of(None, []),
    "init_lora_weights": one_of(True, False, None, "gaussian", "eva", "orthogonal"),
}
# Settings of training, of the places of updates, and of other programs.
_HARMLESS = frozenset(
    (
        *("task_type", "auto_mapping", "peft_version", "revision", "inference_mode"),
        *("target_modules", "exclude_modules", "fan_in_fan_out"),
        *("layers_to_transform", "layers_pattern", "megatron_config", "megatron_core"),
        *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "runtime_config"),
        *("qalora_group_size", "ensure_weight_tying"),
    )
)
_MAX_RANK = 2**20
_MAX_PATTERNS = 10_000
_PLAIN = re.compile(r"\^?[\w.]+")


@dataclass(frozen=True)
class PeftConfig:
    """The settings that affect the numbers.

    Attributes:
        rank, alpha: those of every module that matches no pattern.
        dropout: the share of inputs that are dropped before the updates in training.
        by_root: whether an update is scaled by alpha / sqrt(rank) (Kalajdzievski 2023,
            arXiv:2312.03732), not by alpha / rank.
        ranks, alphas: those of single modules, by the ends of their names.
        base: the base model of the adapter, if the file states it.
    """

    rank: int
    alpha: float
    dropout: float
    by_root: bool
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    base: str | None

    def rank_of(self, module: str) -> int:
        """Return the rank of a module's update."""
        return _of(self.ranks, module, self.rank)

    def scale_of(self, module: str) -> float:
        """Return the factor of a module's B A."""
        alpha, rank = _of(self.alphas, module, self.alpha), self.rank_of(module)
        return alpha / (math.sqrt(rank) if self.by_root else rank)


def _of(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """Return the value of the first pattern that equals the module's name or its end after a
    dot."""
    for pattern, value in patterns.items():
        name = pattern.removeprefix("^")
        if module == name or (name == pattern and module.endswith("." + name)):
            return value
    return default


def parse_config(given: Mapping[str, Any]) -> PeftConfig:
    """Check and return the settings of an `adapter_config.json`.

    Raises:
        AdapterError: it describes another kind of adapter, or has an impossible value or an unknown
            setting that is not empty.
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
    """Return the settings that make it, or may make it, another kind of adapter."""
    problems = []
    if "peft_type" not in given:
        problems.append("peft_type: expected 'LORA', got nothing")
    for key, value in given.items():
        if key in _FIXED:
            if not _FIXED[key].fits(value):
                problems.append(f"{key}: expected {_FIXED[key].expected}, got {shown(value)}")
        elif key not in _HARMLESS | _KINDS.keys() and value not in (None, False, 0, "", [], {}):
            problems.append(f"{shown(key)}: this setting is not known here, got {shown(value)}")
    return problems


def _wrong(given: Mapping[str, Any]) -> list[str]:
    """Return the known settings that have an impossible value."""
    missing = [key for key in ("r", "lora_alpha") if key not in given]
    return [
        *(f"{key}: expected {_KINDS[key].expected}, got nothing" for key in missing),
        *(
            f"{key}: expected {kind.expected}, got {shown(given[key])}"
            for key, kind in _KINDS.items()
            if key in given and not kind.fits(given[key])
        ),
    ]


def _by_module(item: Kind) -> Kind:
    """Return the kind of a mapping from module names, or their ends, to values. PEFT allows regular
    expressions here; a malicious one could run forever."""

    def fits(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and len(value) <= _MAX_PATTERNS
            and all(_PLAIN.fullmatch(key) and item.fits(one) for key, one in value.items())
        )

    return Kind("values by names of modules, no regular expressions", fits)


_RANK = integer(1, _MAX_RANK)
_ALPHA = Kind("a number", lambda value: NUMBER.fits(value) and abs(value) <= 2**53)
_KINDS = {
    "r": _RANK,
    "lora_alpha": _ALPHA,
    "lora_dropout": RATE | NOTHING,
    "use_rslora": FLAG | NOTHING,
    "rank_pattern": _by_module(_RANK) | NOTHING,
    "alpha_pattern": _by_module(_ALPHA) | NOTHING,
    "base_model_name_or_path": TEXT | NOTHING,
}
