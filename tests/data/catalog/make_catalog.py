"""Write `workbench/presets/catalog.json` and `classifiers.json` beside it.

    python tests/data/catalog/make_catalog.py

The names, numbers of parameters and Kaggle handles are read from an installed `keras_hub`, whose
preset tables are plain dictionaries; nothing of it is imported. The rest is in `rows.py` and
`shapes.py`. Not the library's, because they contradict the published configurations:

- `qwen2.5_7b_en`: 28 layers and 7,615,616,512 parameters (the library: 48 layers, 6,993,420,288);
- `smollm3_3b_en`: 3,075,098,624 parameters (the library counts 2,304 rotary frequencies, too);
- `opt_2.7b_en`, `opt_6.7b_en`: counted from the sizes (the library rounds them);
- `gemma2_*_27b`: 46 layers (its texts: 42), `llama3.2_3b`: 28 layers (its text: 26).
"""

from __future__ import annotations

import json
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rows import Row, classifier_rows, rows
from shapes import SHAPES, check

TARGET = Path(__file__).parents[3] / "workbench/presets"
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
PARAMETERS = {
    "qwen2.5_7b_en": 7_615_616_512,
    "smollm3_3b_en": 3_075_098_624,
    "opt_2.7b_en": 2_651_591_680,
    "opt_6.7b_en": 6_658_465_792,
}


def library() -> dict[str, dict[str, Any]]:
    """keras_hub's presets by name."""
    models = Path(find_spec("keras_hub").origin).parent / "src/models"
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(models.glob("*/*_presets.py")):
        for value in runpy.run_path(str(path)).values():
            if (
                isinstance(value, dict)
                and value
                and all(isinstance(v, dict) for v in value.values())
            ):
                found |= {name: preset for name, preset in value.items() if "metadata" in preset}
    return found


def entry(row: Row, listed: dict[str, Any]) -> dict[str, Any]:
    """A preset as the catalog has it."""
    parameters = PARAMETERS.get(row.name, listed["metadata"]["params"])
    check(row.shape, parameters, vision=row.modality == "image+text")
    return {
        "name": row.name,
        "family": row.family,
        "backbone": row.backbone,
        "description": row.description,
        "parameters": parameters,
        **SHAPES[row.shape].facts(),
        "encoder": row.backbone in ("BartBackbone", "T5GemmaBackbone", "MoonshineBackbone"),
        **({} if row.image_prefix is None else {"image_prefix": row.image_prefix}),
        "modality": row.modality,
        "instruct": row.instruct,
        "context_length": row.context,
        "stored_dtype": row.stored,
        "bytes_on_disk": parameters * BYTES[row.stored],
        "licence": row.terms[0],
        "gated": row.terms[1],
        "kaggle": listed["kaggle_handle"],
        "hugging_face": row.origin and f"hf://{row.origin}",
    }


def main() -> None:
    """Write both lists, one preset a line."""
    listed = library()
    for name, kind in (("catalog.json", rows()), ("classifiers.json", classifier_rows())):
        entries = [entry(row, listed[row.name]) for row in kind]
        lines = ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries)
        (TARGET / name).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"{len(entries)} presets in {name}")


if __name__ == "__main__":
    main()
