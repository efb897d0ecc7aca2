"""The nodes of a tree of parts; a run of equal parts is one node."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

_NUMBERED = re.compile(r"(.+)_(\d+)")


@dataclass(frozen=True)
class Node:
    """One part, or `count` parts that differ only in the numbers of their names.

    Attributes:
        name: its name in the model.
        kind: its class, empty for a variable.
        detail: its settings in words.
        size: the number of elements of a variable, otherwise 0.
        dtype: the dtype of a variable.
        bytes: the bytes of a variable.
        children: its parts; if it stands for several, the parts of one.
        count: the number of parts it stands for.
    """

    name: str
    kind: str = ""
    detail: str = ""
    size: int = 0
    dtype: str = ""
    bytes: int = 0
    children: tuple[Node, ...] = ()
    count: int = 1

    @property
    def each(self) -> int:
        """The parameters of one of the parts it stands for."""
        return self.size + sum(child.parameters for child in self.children)

    @property
    def parameters(self) -> int:
        """The parameters of all parts it stands for, counted as Keras's `count_params` does."""
        return self.count * self.each

    @property
    def memory(self) -> int:
        """The bytes of all parts it stands for."""
        return self.count * (self.bytes + sum(child.memory for child in self.children))

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes of its variables, the one with the most bytes first."""
        shares: dict[str, int] = {}
        for leaf, times in self._leaves():
            shares[leaf.dtype] = shares.get(leaf.dtype, 0) + times * leaf.bytes
        return tuple(sorted(shares, key=lambda dtype: -shares[dtype]))

    def _leaves(self, times: int = 1) -> Iterator[tuple[Node, int]]:
        """Yield the variables, each with the number of its copies."""
        if self.size:
            yield self, times * self.count
        for child in self.children:
            yield from child._leaves(times * self.count)


def folded(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Join nodes that differ only in a number at the end of their names, at the place of the first:
    `blocks 0-4, 6-10` and `blocks 5, 11`."""
    kinds: list[tuple[Node, list[str]]] = []
    namesakes: dict[str, list[tuple[Node, list[str]]]] = {}  # few are compared with one another
    for node in nodes:
        numbered = _NUMBERED.fullmatch(node.name)
        alike = replace(node, name=numbered[1]) if numbered else node
        known = namesakes.setdefault(alike.name, [])
        names = next((names for kind, names in known if kind == alike), None)
        if names is None:
            names = []
            known.append((alike, names))
            kinds.append((alike, names))
        names.append(node.name)
    return tuple(_together(kind, names) for kind, names in kinds)


def _together(kind: Node, names: list[str]) -> Node:
    name = _name(names)
    if len(names) == 1 and name == kind.name:
        return kind
    return replace(kind, name=name, count=len(names))


def _name(names: list[str]) -> str:
    """Return one name for parts whose names differ in the numbers at the end."""
    numbered = [_NUMBERED.fullmatch(name) for name in names]
    found = [one for one in numbered if one is not None]
    if len(names) == 1 or len(found) < len(names):
        return names[0]
    return f"{found[0][1].replace('_', ' ')}s {ranges(int(one[2]) for one in found)}"


def ranges(numbers: Iterable[int]) -> str:
    """Return rising whole numbers as "0-4, 6, 8-10"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
