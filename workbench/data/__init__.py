"""Training data: turns texts, pairs, conversations, tables and files into examples and batches.

May import `preprocessing` and the packages below it: data never sees a model.
"""
