"""Makes `workbench/presets/adapters/keras_hub_layers.json` and `keras_hub_layers.json` here: needs
keras_hub, with `KERAS_BACKEND=jax`.

    python tests/data/lora/make_keras_hub_layers.py

KerasHub's LoRA files number the layers of a backbone that have weights, in the order in which
Keras walks them. The first file has this order for every architecture, the index of a block left
open; the second, for tests, has it as it is for models of several depths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import keras_hub  # its classes are found by name when a model is built
from keras.src.saving import saving_lib
from keras.src.saving.keras_saveable import KerasSaveable

HERE = Path(__file__).parent
GOLDENS = HERE.parent / "goldens" / "keras_hub"
TABLE = HERE.parents[2] / "workbench" / "presets" / "adapters" / "keras_hub_layers.json"
DEPTHS = (3, 4)
# The richest model of each class: a preset among the goldens, and arguments in place of its own.
MODELS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("bart", "bert_classifier", "bloom", "falcon", "gemma2", "gpt2")},
    **{name: {} for name in ("gemma3_vision", "llama", "llama3", "mistral", "mixtral")},
    **{name: {} for name in ("moonshine", "opt", "pali_gemma2", "parseq", "phi3", "qwen")},
    **{name: {} for name in ("qwen3", "qwen_moe", "t5gemma")},
    "qwen3_moe": {"mlp_only_layers": [1]},  # which KerasHub's older mixture ignores
    **{name: {} for name in ("gpt_neo_x", "smollm3")},
}
# What the test compares.
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    *MODELS.items(),
    *((name, {}) for name in ("gemma", "gemma3_text", "pali_gemma", "qwen3_moe")),
    ("llama", {"num_layers": 12}),
    ("bart", {"num_layers": 5}),
    ("gemma3_text", {"num_layers": 7}),
    ("pali_gemma", {"num_layers": 1, "vit_num_layers": 5}),
    ("moonshine", {"encoder_num_layers": 4, "decoder_num_layers": 1}),
)
_INDEX = re.compile(r"(?:_(\d+))?")


def build(name: str, arguments: dict[str, Any], depth: int | None = None) -> keras.Model:
    """The backbone of a golden preset with random weights, all its stacks `depth` layers deep
    where that is given."""
    saved = json.loads((GOLDENS / name / "config.json").read_text())
    saved["config"] |= {"dtype": "float32", **arguments}
    if depth is not None:
        deepen(saved["config"], depth)
    return keras.saving.deserialize_keras_object(saved)


def deepen(config: Any, depth: int) -> None:
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        if key.endswith("num_layers") or key in ("num_decoder_layers", "depth"):
            config[key] = depth
        elif key.endswith("layer_types") and value:
            config[key] = (value * depth)[:depth]
        else:
            deepen(value, depth)


def saved_paths(model: keras.Model) -> dict[int, str]:
    """Where each layer's weights lie in a weight file, by the layer's id."""
    found: dict[int, str] = {}

    def visit(layer: Any, path: str) -> None:
        if id(layer) in found:
            return
        found[id(layer)] = path
        for name, child in saving_lib._walk_saveable(layer):
            inner = f"{path}/{name}".lstrip("/")
            if isinstance(child, KerasSaveable):
                visit(child, inner)
            elif isinstance(child, list | dict | tuple | set):
                for key, one in numbered(child):
                    visit(one, f"{inner}/{key}")

    def numbered(children: Any) -> Iterator[tuple[str, Any]]:
        counts: dict[str, int] = {}
        for child in children.values() if isinstance(children, dict) else children:
            if isinstance(child, KerasSaveable):
                name = saving_lib.naming.to_snake_case(type(child).__name__)
                counts[name] = counts.get(name, -1) + 1
                yield (f"{name}_{counts[name]}" if counts[name] else name), child

    visit(model, "")
    return found


def layers(model: keras.Model) -> list[tuple[str, str]]:
    """(path in weight files, name) of the layers that have weights, as Keras walks them."""
    paths = saved_paths(model)
    flat = [layer for layer in model._flatten_layers(include_self=False) if layer.weights]
    return [(paths[id(layer)], layer.name) for layer in flat]


def blocks(shallow: list[str], deep: list[str]) -> set[str]:
    """Paths of the first block of each stack: those that have one block more when deeper."""
    new = f"_{DEPTHS[1] - 1}"
    heads = set()
    for path in set(deep) - set(shallow):
        parts = path.split("/")
        for end, part in enumerate(parts, 1):
            head = "/".join(parts[:end]).removesuffix(new)
            if part.endswith(new) and head in shallow:
                heads.add(head)
                break
    return heads


def groups(name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The order of an architecture's layers: groups that stand once, or once for each block."""
    shallow, deep = (layers(build(name, arguments, depth)) for depth in DEPTHS)
    heads = blocks([path for path, _ in shallow], [path for path, _ in deep])
    made: list[dict[str, Any]] = []
    before, known = None, dict(shallow)
    for path, layer in deep:
        template, index = templated(path, heads)
        kind = None if index is None else template[: template.index("{_i}") + 4]
        if not made or made[-1]["kind"] != kind:
            made.append({"kind": kind, "order": [], "layers": []})
            before = None
        group = made[-1]
        if index is not None and index not in group["order"]:
            group["order"].append(index)
            before = None
        before = placed(group["layers"], before, template, {layer, known.get(path, layer)})
    return [finished(group) for group in made]


def placed(rows: list[Any], before: str | None, path: str, names: set[str]) -> str:
    """Note a layer of a block, after the one that precedes it: blocks may differ. Keras makes up
    a name for a layer without one, and another for every model."""
    known = [row[0] for row in rows]
    if path not in known:
        rows.insert(known.index(before) + 1 if before else 0, [path, set()])
        known = [row[0] for row in rows]
    rows[known.index(path)][1].update(names)
    return path


def templated(path: str, heads: set[str]) -> tuple[str, int | None]:
    """A layer's path with its block's index left open, and the index."""
    for head in heads:
        rest = path.removeprefix(head)
        if rest != path or path == head:
            found = _INDEX.match(rest)
            if rest[found.end() :][:1] in ("", "/"):
                return head + "{_i}" + rest[found.end() :], int(found[1] or 0)
    return path, None


def finished(group: dict[str, Any]) -> dict[str, Any]:
    """A group as it is written; names that are not the same in every block or model are left
    out."""
    order = group["order"]
    if order not in ([], sorted(order), sorted(order, reverse=True)):
        raise ValueError(f"{group['kind']}: blocks in the order {order}")
    rows = [[path, names.pop() if len(names) == 1 else None] for path, names in group["layers"]]
    return {"reversed": order != sorted(order), "layers": rows}


def written(value: Any) -> str:
    """JSON with lists of plain values in one line."""
    text = json.dumps(value, indent=1)
    return re.sub(r"\[[^\[\]]*\]", lambda found: _line(found[0]), text) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("[ ", "[").replace(" ]", "]")


def main() -> None:
    table = {}
    for name, arguments in MODELS.items():
        model = build(name, {})
        table[type(model).__name__] = {
            "targets": model.default_lora_layer_names(),
            "groups": groups(name, arguments),
        }
    cases = [
        {
            "preset": name,
            "arguments": arguments,
            "layers": [path for path, _ in layers(build(name, arguments))],
        }
        for name, arguments in CASES
    ]
    TABLE.write_text(written({"keras_hub": keras_hub.__version__, "backbones": table}))
    (HERE / "keras_hub_layers.json").write_text(json.dumps(cases, indent=0) + "\n")


if __name__ == "__main__":
    main()
