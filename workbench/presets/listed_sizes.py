"""The sizes of the catalog's presets, for estimates."""

from __future__ import annotations

from workbench.estimates.sizes import ImageSizes, Sizes
from workbench.presets.catalog import PresetInfo


def sizes_of_listed(info: PresetInfo) -> Sizes:
    """Return the sizes of a catalog preset; 0 for unknown ones."""
    vocabulary, width = info.vocabulary_size or 0, info.hidden_dim or 0
    return Sizes(
        parameters=info.parameters,
        largest=vocabulary * width,
        layers=info.layers or 0,
        width=width,
        inner=info.intermediate_dim or 0,
        heads=info.heads or 0,
        kv_heads=info.kv_heads or 0,
        head_dim=info.head_dim or 0,
        vocabulary=vocabulary,
        encoder=info.encoder,
        images=None if info.image_prefix is None else ImageSizes(info.image_prefix),
    )
