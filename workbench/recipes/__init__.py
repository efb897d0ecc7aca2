"""How the embedded presets were made: training, measuring and publishing each of them.

May import everything below the panels. Nothing imports a recipe, and the wheel leaves them out.
"""
