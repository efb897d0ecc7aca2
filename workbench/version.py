"""The version of the package; saved presets contain it."""

__version__ = "0.1.0"
