"""How a model shows itself: one line as its repr, a tree in a notebook."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from workbench.tree.node import Node

DEPTH = 3  # levels of the text


class Tree:
    """What a model is made of. It prints as text, and shows in a notebook as a tree that folds.

    `root` is its first `Node`: `name`, `kind`, `detail`, `parameters`, `memory` in bytes, `dtypes`,
    `count` of equal parts that it stands for, and `children`.
    """

    def __init__(self, root: Node, depth: int | None = DEPTH) -> None:
        self.root, self.depth = root, depth

    def __repr__(self) -> str:
        from workbench.tree.text import text_tree

        return text_tree(self.root, self.depth)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        from workbench.tree.html import html_tree

        return {"text/plain": repr(self), "text/html": html_tree(self.root)}


class ShowsTree:
    """Mix-in before a Keras model with a `preset`. Keras's `summary()` stays as it is."""

    name: str
    preset: str | None

    def tree(self, depth: int | None = DEPTH) -> Tree:
        """What the model is made of: components, shapes, parameters, dtypes, adapters.

        Runs of equal layers are one node. Shapes alone are read, no numbers.

        Args:
            depth: levels that the printed text has below the first; None for all.

        Example:
            >>> print(lm.tree())
        """
        from workbench.tree.model import tree_of

        return Tree(tree_of(self), depth)

    def __repr__(self) -> str:
        from workbench.backbones.quantization import quantization_mode

        weights = self.weights
        count = sum(math.prod(variable.shape) for variable in weights)
        dtype = quantization_mode(self) or (weights[0].dtype if weights else "")
        name = Path(self.preset or self.name).name
        return f"<{type(self).__name__} {name}: {count:,} parameters, {dtype}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return self.tree()._repr_mimebundle_()
