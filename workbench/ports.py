"""What models share of presets: the built-in ones by name, saving one, and exporting one."""

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
            PresetError: the folder cannot be written, the disk is too small, or a change of the
                model was broken off.
        """
        from workbench.presets.save import save_preset

        save_preset(self, preset_dir, max_shard_size=max_shard_size)

    def export_to_transformers(self, path: str, max_shard_size: float | None = 5) -> None:
        """Write the folder that Hugging Face Transformers loads: `config.json`, safetensors and,
        with a preprocessor, the tokenizer's files; all or nothing.

        Args:
            path: the folder to make or replace.
            max_shard_size: gigabytes a weight file may hold; None writes one file.

        Raises:
            PresetError: Transformers has no model of this kind or with these settings, or the
                folder cannot be written.
        """
        from workbench.presets.export import export_to_transformers

        export_to_transformers(self, path, max_shard_size=max_shard_size)
