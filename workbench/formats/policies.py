"""Reads and writes dtype policies in files: plain names, and KerasHub's maps from layers to
quantized policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.backbones.layers.integers import GROUP
from workbench.errors import PresetError
from workbench.storage.json_files import shown

FLOAT_POLICIES = ("float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16")
INTEGER_POLICIES = ("int32", "int64", "uint32")

_MODULES = ("keras", "keras.dtype_policies")
_PLAIN = ("DTypePolicy", "FloatDTypePolicy")  # the second name up to Keras 3.3
_QUANTIZED = ("QuantizedDTypePolicy", "DTypePolicyMap")
_GROUPED = {"module": "workbench.backbones.precision", "registered_name": "workbench>GroupedInt4"}
# The last parts of the paths of KerasHub layers whose weights are quantized here.
_LAYERS = (
    "token_embedding",
    "query",
    "key",
    "value",
    "attention_output",
    "(query|key|value|output)_dense",
    "feedforward_(gate|intermediate|output)_dense",
    "mlp_(intermediate|output)_dense",
    "ffw_(gating|gating_2|linear)",
    "dense_(h_to_4h|4h_to_h)",
)


def read_policy(value: Any, file: str, key: str) -> str | None:
    """Return the name of a dtype policy that is null, a name, or a serialized plain `DTypePolicy`;
    "int8" for KerasHub's map of quantized policies, "int4" for our own.

    The weight file shows which layers are quantized, so the keys of a map are not read.

    Raises:
        PresetError: it is anything else, such as another quantization mode.
    """
    if isinstance(value, dict):
        if value.get("class_name") not in _PLAIN:
            return _read_quantized(value, file, key)
        if value.get("module") != "keras":
            raise PresetError.at(file, f"{key}: module", "keras", shown(value.get("module")))
        config = value.get("config")
        value = config.get("name") if isinstance(config, dict) and len(config) == 1 else config
    if value is not None and value not in FLOAT_POLICIES + INTEGER_POLICIES:
        raise PresetError.at(file, key, f"one of {', '.join(FLOAT_POLICIES)}", shown(value))
    return value


def write_policy(name: str) -> dict[str, Any]:
    """Return a policy in KerasHub's form; "int4" has our own form, which KerasHub refuses."""
    if name == "int4":
        return {**_GROUPED, "class_name": "GroupedInt4", "config": {"group": GROUP}}
    if name == "int8":
        layers = {f"(.*/)?({'|'.join(_LAYERS)})": _quantized("int8")}
        config = {"default_policy": None, "policy_map": layers}
        return _policy("keras.dtype_policies", "DTypePolicyMap", config)
    return _policy("keras", "DTypePolicy", {"name": name})


def _quantized(mode: str) -> dict[str, Any]:
    config = {"mode": mode, "source_name": None}
    return _policy("keras.dtype_policies", "QuantizedDTypePolicy", config)


def _policy(module: str, class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def _read_quantized(value: dict[str, Any], file: str, key: str) -> str:
    if value == write_policy("int4"):
        return "int4"
    modes = set(_modes(value, file, key))
    if modes != {"int8"}:
        raise PresetError.at(file, key, "a policy of floats or of int8", shown(sorted(modes)))
    return "int8"


def _modes(value: Any, file: str, key: str) -> Iterator[str]:
    """Yield the modes of a quantized policy or of a map of policies; float policies have none."""
    kind = value.get("class_name") if isinstance(value, dict) else None
    if kind not in _QUANTIZED or value.get("module") not in _MODULES:
        expected = "a DTypePolicy, a QuantizedDTypePolicy or a map of them"
        raise PresetError.at(file, key, expected, shown(kind))
    config = value.get("config")
    if not isinstance(config, dict):
        raise PresetError.at(file, f"{key}: config", "an object", shown(config))
    if kind == "QuantizedDTypePolicy":
        read_policy(config.get("source_name"), file, f"{key}: source_name")
        yield str(config.get("mode"))
        return
    read_policy(config.get("default_policy"), file, f"{key}: default_policy")
    layers = config.get("policy_map")
    if not isinstance(layers, dict):
        raise PresetError.at(file, f"{key}: policy_map", "an object", shown(layers))
    for name, policy in layers.items():
        if isinstance(policy, dict) and policy.get("class_name") == "QuantizedDTypePolicy":
            yield from _modes(policy, file, f"{key}: {shown(name)}")
        else:
            read_policy(policy, file, f"{key}: {shown(name)}")
