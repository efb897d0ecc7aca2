"""From what a user gives - texts, conversations, pictures, recordings - to the arrays of a model.

May import `generation`, `tokenizers`, `images` and `audio`: a preprocessor never sees a model.
"""
