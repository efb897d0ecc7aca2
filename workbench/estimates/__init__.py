"""How much memory a model takes, by arithmetic on its sizes alone.

May import `formats`, `backbones` and `memory`.
"""
