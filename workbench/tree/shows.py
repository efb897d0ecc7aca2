"""The value of `model.tree()`: prints as text, and unfolds in a notebook."""

from __future__ import annotations

from typing import Any

from workbench.ports import DEPTH
from workbench.tree.html import html_tree
from workbench.tree.node import Node
from workbench.tree.text import text_tree


class Tree:
    """The parts of a model. It prints as text, and shows in a notebook as a foldable tree.

    `root` is its first `Node`: `name`, `kind`, `detail`, `parameters`, `memory` in bytes, `dtypes`,
    `count` of the equal parts it stands for, and `children`.
    """

    def __init__(self, root: Node, depth: int | None = DEPTH) -> None:
        self.root, self.depth = root, depth

    def __repr__(self) -> str:
        return text_tree(self.root, self.depth)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": html_tree(self.root)}
