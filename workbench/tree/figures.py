"""Formats the figures of a node as text."""

from __future__ import annotations

from workbench.tree.node import Node

_UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


def short_count(number: int) -> str:
    """Return a count as three digits and a unit: 2.94 M, 134 M, 1.24 B."""
    for unit, word in _UNITS:
        if number >= unit:
            return f"{number / unit:#.3g}".rstrip(".") + f" {word}"
    return str(number)


def count_text(node: Node, times: int = 1) -> str:
    """Return a node's parameters; `times` is the number of equal copies of its parent."""
    if not node.each:
        return ""
    many = times * node.count
    return (f"{many} × " if many > 1 else "") + short_count(node.each)


def share_text(node: Node, total: int, times: int = 1) -> str:
    """Return the share of all parameters in this node and its equal copies."""
    share = 100 * times * node.parameters / max(1, total)
    if not node.each:
        return ""
    return f"{share:.0f} %" if share >= 1 else "< 1 %"


def dtype_text(node: Node) -> str:
    """Return a node's dtypes, the most used first."""
    return " + ".join(node.dtypes)


def summary(root: Node) -> str:
    """Return the totals of a whole tree."""
    packed = " (of int4, two count as one)" if "int4" in root.dtypes else ""
    count = f"{root.parameters:,} parameters{packed}"
    return ", ".join(part for part in (count, dtype_text(root), memory_text(root.memory)) if part)


def memory_text(size: int) -> str:
    """Return bytes as text with a suitable unit."""
    for unit, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:#.3g}".rstrip(".") + f" {word}"
    return f"{size} bytes"
