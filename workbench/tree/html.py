"""A tree as foldable HTML, without script or style sheet, in the colours of the page."""

from __future__ import annotations

import html

from workbench.tree.figures import count_text, dtype_text, share_text, summary
from workbench.tree.node import Node

OPEN = 1  # levels below the root that are first unfolded

# Without JupyterLab's variables, everything takes the colour of the page's text.
_ROOT = (
    "font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px; "
    "line-height: 1.6; color: var(--jp-ui-font-color1, inherit); overflow-x: auto"
)
_CODE = "font-family: var(--jp-code-font-family, ui-monospace, monospace)"
_QUIET = "color: var(--jp-ui-font-color2, inherit)"
_FIGURES = f"{_QUIET}; float: right; padding-left: 16px; font-variant-numeric: tabular-nums"
_INSIDE = (
    "margin-left: 5px; padding-left: 14px; "
    "border-left: 1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
)
_LEAF = "padding-left: 16px"
_ROW = "cursor: pointer"


def html_tree(root: Node) -> str:
    """Return the tree as nested `<details>`; all text is escaped."""
    head = f"{_strong(root.name)} {_quiet(f'{root.kind} · {summary(root)}')}"
    inside = "".join(_node(child, root, root, 1, OPEN) for child in root.children)
    return f'<div style="{_ROOT}">{_folding(head, inside, True)}</div>'


def _node(node: Node, parent: Node, root: Node, times: int, unfolded: int) -> str:
    dtype = dtype_text(node) if node.dtypes != parent.dtypes else ""
    row = _row(node, root, times, dtype)
    if not node.children:
        return f'<div style="{_LEAF}">{row}</div>'
    inside = "".join(
        _node(child, node, root, times * node.count, unfolded - 1) for child in node.children
    )
    return _folding(row, inside, unfolded > 0)


def _folding(row: str, inside: str, unfolded: bool) -> str:
    opened = " open" if unfolded else ""
    return (
        f'<details{opened}><summary style="{_ROW}">{row}</summary>'
        f'<div style="{_INSIDE}">{inside}</div></details>'
    )


def _row(node: Node, root: Node, times: int, dtype: str) -> str:
    figures = [count_text(node, times), share_text(node, root.parameters, times), dtype]
    told = " · ".join(part for part in figures if part)
    exact = f"{times * node.parameters:,} parameters"
    right = f'<span style="{_FIGURES}" title="{exact}">{html.escape(told)}</span>' if told else ""
    made = [_quiet(part) for part in (node.kind, node.detail) if part]
    return " ".join([_code(node.name), *made, right]).strip()


def _strong(text: str) -> str:
    return f"<strong>{html.escape(text)}</strong>"


def _code(text: str) -> str:
    return f'<span style="{_CODE}">{html.escape(text)}</span>'


def _quiet(text: str) -> str:
    return f'<span style="{_QUIET}">{html.escape(text)}</span>'
