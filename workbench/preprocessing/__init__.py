"""Preprocessors: they turn a user's texts, conversations, pictures and recordings into a model's
arrays.

May import `generation`, `tokenizers`, `images` and `audio`: a preprocessor never sees a model.
"""
