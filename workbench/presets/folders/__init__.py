"""Presets on disk, one module per layout: KerasHub folders, Transformers folders, GGUF files."""
