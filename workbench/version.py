"""The version of the package, which saved presets name."""

__version__ = "0.1.0"
