"""Training data: from texts, pairs, conversations, tables and files to examples and batches.

May import `preprocessing` and what is below it: data never sees a model.
"""
