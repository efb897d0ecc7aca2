"""Looks inside a language model: its predictions at every place of a text, and the values of its
layers. The calls are `lm.inspect(text)` and `lm.trace(text)`."""

from workbench.inspection.continuation import Continuation
from workbench.inspection.distribution import Distribution
from workbench.inspection.lens import Lens
from workbench.inspection.places import Inspection
from workbench.inspection.trace import Trace

__all__ = ["Continuation", "Distribution", "Inspection", "Lens", "Trace"]
