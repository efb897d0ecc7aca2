"""File formats independent of families: safetensors, HDF5 and GGUF as sources of tensors, and the
records with which a family describes the places of its weights and settings.

May import `tokenizers`, `backbones` and `storage`.
"""
