"""File formats that know no family: safetensors, HDF5 and GGUF as sources of tensors, and the
records by which a family says where its weights and settings stand in them.

May import `tokenizers`, `backbones` and `storage`.
"""
