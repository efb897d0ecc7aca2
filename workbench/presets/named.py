"""What models share of presets: the built-in ones by name, and saving one."""

from __future__ import annotations

from typing import Any


class NamedPresets:
    """A read-only class attribute: preset names to metadata, as `handles.list_presets` has them."""

    def __get__(self, instance: object, owner: type) -> dict[str, dict[str, Any]]:
        from workbench.presets.handles import list_presets

        return list_presets(owner)


class SavesPresets:
    """Mix-in before `keras.Model`: saving as a preset."""

    def save_to_preset(self, preset_dir: str, max_shard_size: float | None = 10) -> None:
        """Write configuration, weights and what else it holds as a KerasHub preset folder, all or
        nothing.

        Args:
            preset_dir: the folder to make or replace.
            max_shard_size: gigabytes a weight file may hold; None writes one file.

        Raises:
            PresetError: the folder cannot be written or the disk is too small.
        """
        from workbench.presets.save import save_preset

        save_preset(self, preset_dir, max_shard_size=max_shard_size)
