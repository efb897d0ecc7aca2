"""The parts of a model as a tree, to print or to unfold in a notebook."""

from workbench.tree.node import Node
from workbench.tree.shows import Tree

__all__ = ["Node", "Tree"]
