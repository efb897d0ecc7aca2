"""Rows of the preset browser: a preset's facts, its memory, and how to load it."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

from workbench.errors import SettingError

from ..shared.model import short_count

if TYPE_CHECKING:
    from workbench.presets.catalog import PresetInfo

QUANTISED = ("int8", "int4")
DTYPES = ("auto", "float32", "bfloat16", *QUANTISED)


def check_dtype(value: object) -> str:
    """Return the value if it is one of `DTYPES`, or raise a SettingError."""
    if not isinstance(value, str) or value not in DTYPES:
        raise SettingError(f"dtype must be one of {', '.join(DTYPES)}, got {str(value)[:80]!r}")
    return value


def check_name(value: object, names: Container[str]) -> str:
    """Return the value if it is one of `names`, or raise a SettingError."""
    if not isinstance(value, str) or value not in names:
        raise SettingError(f"no preset {str(value)[:80]!r} in this panel")
    return value


def dtype_choices() -> list[dict[str, str]]:
    """Return the page's choices of dtype; "auto" names its dtype on this machine."""
    labels = {"auto": f"auto ({auto_dtype()})"}
    return [{"name": name, "label": labels.get(name, name)} for name in DTYPES]


def machine() -> dict[str, int]:
    """Return the `free` bytes of memory now, and the `limit`: the most that a fitting preset needs.

    Every estimate contains the memory this process already uses, which need not be free again.
    """
    from workbench.estimates.peaks import PROCESS
    from workbench.memory.free_memory import free_memory, limit, resident

    free = free_memory()
    return {"free": free, "limit": limit(free) + min(resident(), int(PROCESS))}


def auto_dtype() -> str:
    """Return the default dtype of presets that are not quantised."""
    from workbench.estimates.fast_dtype import fast_dtype

    return fast_dtype()


def row_of(info: PresetInfo) -> dict[str, Any]:
    """Return a preset's row for the page; `needs` holds bytes of memory by dtype."""
    return {
        "name": info.name,
        "family": info.family,
        "description": info.description,
        "parameters": info.parameters,
        "layers": info.layers,
        "modality": info.modality,
        "instruct": info.instruct,
        "context": info.context_length,
        "bytes": info.bytes_on_disk,
        "licence": info.licence,
        "gated": info.gated,
        "embedded": info.embedded,
        "supported": info.supported,
        "cls": "Seq2SeqLM" if info.encoder else "CausalLM",
        "absent": "" if info.supported else absence_of(info),
        "gate": gate_of(info) if info.gated else "",
        "needs": needs_of(info),
    }


def needs_of(info: PresetInfo) -> dict[str, int]:
    """Return the bytes of memory of the loaded preset, for each of `DTYPES`."""
    from workbench.estimates.estimate import estimate_sizes
    from workbench.presets.listed_sizes import sizes_of_listed

    sizes = sizes_of_listed(info)
    needs = {dtype: estimate_sizes(sizes, dtype).total for dtype in DTYPES[1:]}
    auto = info.stored_dtype if info.stored_dtype in QUANTISED else auto_dtype()
    return {"auto": needs[auto], **needs}


def absence_of(info: PresetInfo) -> str:
    """Return why this version cannot load a preset."""
    return f"The family {info.family} is not here yet."


def gate_of(info: PresetInfo) -> str:
    """Return what to do before a gated preset can be downloaded."""
    if info.kaggle:
        hub, token = "Kaggle", "in ~/.kaggle/kaggle.json, or KAGGLE_USERNAME and KAGGLE_KEY"
    else:
        hub, token = "Hugging Face", "in HF_TOKEN, or by huggingface_hub.login()"
    return (
        f"Gated: accept the licence once on the model's page at {hub}, and give this machine your "
        f"token ({token}). Then press Load."
    )


def line_of(info: PresetInfo, dtype: str) -> str:
    """Return a preset as one line of text."""
    needs = f"needs {needs_of(info)[dtype] / 1e9:.1f} GB"
    return " · ".join([info.name, info.family, short_count(info.parameters), needs, info.licence])
