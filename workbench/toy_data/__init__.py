"""Generators of the embedded presets' data: stories, pictures of shapes, spoken digits, words.

Imports nothing of the package.
"""
