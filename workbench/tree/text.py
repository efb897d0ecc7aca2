"""A tree as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.tree.figures import count_text, dtype_text, share_text, summary
from workbench.tree.node import Node

LINE = 118  # characters; longer lines are cut here, but not on the page


def text_tree(root: Node, depth: int | None) -> str:
    """Return the tree as text down to `depth` levels below its root, or all of it for None; without
    variables."""
    lines = [f"{root.name} · {root.kind} · {summary(root)}"]
    return "\n".join([*lines, *_below(root, "", root, 1, depth)])


def _below(node: Node, lead: str, root: Node, times: int, depth: int | None) -> Iterator[str]:
    if depth == 0:
        return
    children = [child for child in node.children if depth is None or not child.size]
    for child in children:
        last = child is children[-1]
        told = dtype_text(child) if child.dtypes != node.dtypes else ""
        head = f"{lead}{'└─' if last else '├─'} {child.name}  {_made(child)}".rstrip()
        yield _cut(head, _figures(child, root, times, told))
        deeper = None if depth is None else depth - 1
        more = lead + ("   " if last else "│  ")
        yield from _below(child, more, root, times * child.count, deeper)


def _made(node: Node) -> str:
    return f"{node.kind}({node.detail})" if node.kind and node.detail else node.kind or node.detail


def _figures(node: Node, root: Node, times: int, dtype: str) -> str:
    figures = count_text(node, times), share_text(node, root.parameters, times), dtype
    return "".join(f" · {part}" for part in figures if part)


def _cut(head: str, figures: str) -> str:
    room = LINE - len(figures)
    return (head if len(head) <= room else head[: room - 1] + "…") + figures
