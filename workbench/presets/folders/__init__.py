"""Presets on disk, a module a layout: KerasHub's folders, Transformers' folders, GGUF files."""
