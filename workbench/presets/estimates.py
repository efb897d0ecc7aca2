"""Estimates the memory of a preset before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import PresetError
from workbench.estimates.estimate import DEFAULT_LENGTH, Estimate, estimate_sizes
from workbench.estimates.sizes import Sizes
from workbench.presets.catalog import PresetInfo, find
from workbench.presets.listed_sizes import sizes_of_listed


def estimate(
    preset: PresetInfo | str | Path,
    dtype: Any = None,
    *,
    length: int = DEFAULT_LENGTH,
    batch: int = 1,
    training: bool = False,
    lora_rank: int | None = None,
) -> Estimate:
    """Estimate the memory of a catalog preset, or of a local folder or `.gguf` file.

    ```python
    print(wb.estimate("gemma2_2b_en", "bfloat16"))
    ```

    Args:
        preset: a built-in name, a result of `catalog.find`, or a path. Only the names, shapes and
            dtypes of a folder's tensors are read, no weights.
        dtype, length, batch, training, lora_rank: as for `estimate_config`.

    Raises:
        PresetError: there is no such preset here.
        SettingError: the dtype is not known.
    """
    info = preset if isinstance(preset, PresetInfo) else find(str(preset))
    if dtype is None and info is not None and info.stored_dtype in ("int8", "int4"):
        dtype = info.stored_dtype
    sizes = sizes_of_listed(info) if info is not None else _sizes_of_folder(str(preset))
    return estimate_sizes(sizes, dtype, length, batch, training, lora_rank)


def _sizes_of_folder(handle: str | Path) -> Sizes:
    from workbench.backbones.backbone import (
        Backbone,  # brings Keras, which a listed preset needs not
    )
    from workbench.presets.load import open_preset

    if "://" in str(handle):
        raise PresetError(f"{handle}: download it first; estimates read presets of this machine")
    preset = open_preset(handle, Backbone)
    source = preset.open_weights()
    try:
        return Sizes.of_files(preset.backbone_arguments(), source)
    finally:
        source.close()
