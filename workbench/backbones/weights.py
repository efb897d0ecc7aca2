"""Weight maps as data: which tensor of a file fills which weight of a backbone, and in what layout.

A family writes one tuple of rules for each file format. The same rules load and store, and they
never see how a layer holds its weights: a layer that keeps several named weights in one variable
asks `initializer` for each of them and joins the parts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from workbench.errors import PresetError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How a file holds a weight of ours, written as a pattern with one letter an axis.

    `"hkd -> (hk)d"`: ours has the axes h, k, d; theirs has two, the first being h and k merged.
    `"fd -> df"`: theirs is the transpose. The empty pattern: both are the same.
    """

    pattern: str

    @property
    def _ours(self) -> str:
        return self.pattern.partition(" -> ")[0]

    @property
    def _theirs(self) -> list[str]:
        """The axes of theirs, each as the letters merged in it."""
        found = re.findall(r"\((\w+)\)|(\w)", self.pattern.partition(" -> ")[2])
        return [merged or single for merged, single in found]

    def file_shape(self, ours: Shape) -> Shape:
        """The shape in the file of a weight of shape `ours`."""
        if not self.pattern:
            return ours
        sizes = dict(zip(self._ours, ours, strict=True))
        return tuple(math.prod(sizes[axis] for axis in group) for group in self._theirs)

    def load(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        """The file's tensor as ours, a view where numpy can."""
        if not self.pattern:
            return theirs
        sizes, order = dict(zip(self._ours, ours, strict=True)), "".join(self._theirs)
        split = theirs.reshape([sizes[axis] for axis in order])
        return split.transpose([order.index(axis) for axis in self._ours])

    def store(self, ours: np.ndarray) -> np.ndarray:
        """Our tensor as the file's, a view where numpy can."""
        if not self.pattern:
            return ours
        order = [self._ours.index(axis) for axis in "".join(self._theirs)]
        return ours.transpose(order).reshape(self.file_shape(ours.shape))


SAME = Layout("")


@dataclass(frozen=True)
class Rule:
    """One weight of ours and its tensor in a file.

    In both names `{i}` is the layer's index and `{_i}` the same as Keras numbers repeated layers:
    empty for layer 0, `_1` for layer 1.

    Attributes:
        ours: name of our weight: the path of its variable in the backbone.
        theirs: name of the tensor, or exact alternatives of which a file holds one; the first
            is the one written.
        layout: how theirs holds ours: a `Layout`, or its pattern.
        part: (index, count) where ours is that equal part of theirs along their last axis.
        copy_of: for a head that may be tied. When the model has no such weight, a file may still
            hold the tensor if it is bit-equal to the one that fills the weight named here.
    """

    ours: str
    theirs: str | tuple[str, ...]
    layout: Layout | str = SAME
    part: tuple[int, int] | None = None
    copy_of: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.layout, str):
            object.__setattr__(self, "layout", Layout(self.layout))

    @property
    def names(self) -> tuple[str, ...]:
        """The alternatives, most usual first."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs

    def file_shape(self, ours: Shape) -> Shape:
        """The shape in the file of a weight of shape `ours`, all parts together."""
        shape = self.layout.file_shape(ours)
        return shape if self.part is None else (*shape[:-1], shape[-1] * self.part[1])

    def load(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        """Our tensor of shape `ours` from theirs, a view where numpy can."""
        if self.part is not None:
            index, count = self.part
            width = theirs.shape[-1] // count
            theirs = theirs[..., index * width : (index + 1) * width]
        return self.layout.load(theirs, ours)


def either(prefix: str, name: str) -> tuple[str, str]:
    """A tensor's names with and without the base prefix: files come both ways."""
    return (prefix + name, name)


def numbered(template: str, index: int) -> str:
    """Write a layer's index into a name: `{i}` and `{_i}`."""
    return template.replace("{_i}", f"_{index}" if index else "").replace("{i}", str(index))


def is_numbered(template: str) -> bool:
    """Whether a name has a place for a layer's index."""
    return "{i}" in template or "{_i}" in template


def expand(rules: Sequence[Rule], num_layers: int) -> dict[str, Rule]:
    """The rules of a model of `num_layers` layers by the name of our weight, in layer order.

    A rule without an index stays one rule. Two rules for one weight are a mistake in a family's
    table and raise PresetError.
    """
    expanded = [rule for rule in rules if not is_numbered(rule.ours)]
    repeated = [rule for rule in rules if is_numbered(rule.ours)]
    for index in range(num_layers):
        for rule in repeated:
            names = tuple(numbered(name, index) for name in rule.names)
            expanded.append(replace(rule, ours=numbered(rule.ours, index), theirs=names))
    table = {rule.ours: rule for rule in expanded}
    if len(table) != len(expanded):
        raise PresetError("weight rules: one of our weights is named by two rules")
    return table


def stored(
    rules: Mapping[str, Rule], weights: Mapping[str, Callable[[], np.ndarray]]
) -> Iterator[tuple[str, np.ndarray]]:
    """Their names and tensors for the weights of a model, one file tensor at a time.

    Args:
        rules: as `expand` gives them.
        weights: our names to functions that fetch the values, called when needed.

    Raises:
        PresetError: a weight has no rule, or a tensor lacks one of its parts.
    """
    unknown = sorted(set(weights) - set(rules))
    if unknown:
        raise PresetError(f"these weights have no place in the file format: {unknown[:20]}")
    grouped: dict[str, list[Rule]] = {}
    for name in weights:
        grouped.setdefault(rules[name].names[0], []).append(rules[name])
    for theirs, group in grouped.items():
        yield theirs, _joined(theirs, group, weights)


def _joined(
    theirs: str, group: list[Rule], weights: Mapping[str, Callable[[], np.ndarray]]
) -> np.ndarray:
    tensors = {rule.part: rule.layout.store(weights[rule.ours]()) for rule in group}
    if list(tensors) == [None]:
        return tensors[None]
    count = group[0].part[1] if group[0].part else 1
    parts = [(index, count) for index in range(count)]
    if len(group) != count or set(tensors) != set(parts):
        raise PresetError.at("weight rules", theirs, f"the parts {parts}", list(tensors))
    return np.concatenate([tensors[part] for part in parts], axis=-1)


class Loader(Protocol):
    """Fills weights by name while a model is being built; `presets.loading` has the real one."""

    def initializer(self, name: str) -> Callable[..., Any]:
        """A Keras initializer for our weight `name`: `(shape, dtype) -> array`."""
        ...


_loader: ContextVar[Loader | None] = ContextVar("weight_loader", default=None)


@contextmanager
def loading(loader: Loader) -> Iterator[Loader]:
    """While the block runs, variables are created with the loader's values."""
    token = _loader.set(loader)
    try:
        yield loader
    finally:
        _loader.reset(token)


def initializer(name: str, default: Any) -> Any:
    """The initializer for our weight `name`: the loader's inside `loading`, else `default`."""
    loader = _loader.get()
    return default if loader is None else loader.initializer(name)
