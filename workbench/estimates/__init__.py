"""Estimates the memory of a model by arithmetic on its sizes.

May import `formats`, `backbones` and `memory`.
"""
