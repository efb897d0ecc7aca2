"""Weight maps as data: which tensor of a file fills which weight of a backbone, and in what layout.

A family writes one tuple of rules for each file format. The same rules load and store, and they
never see how a layer holds its weights: a layer that keeps several named weights in one variable
asks `initializer` for each of them and joins the parts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from workbench.backbones.config import layer_count
from workbench.errors import PresetError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """How a file holds a weight of ours, written as a pattern with one letter an axis.

    `"hkd -> (hk)d"`: ours has the axes h, k, d; theirs has two, the first being h and k merged.
    `"fd -> df"`: theirs is the transpose. `"f -> 1f"`: theirs has an axis of one more. The empty
    pattern: both are the same.
    """

    pattern: str

    @property
    def ours(self) -> str:
        """Our axes, a letter each; none where both are the same."""
        return self.pattern.partition(" -> ")[0]

    @property
    def theirs(self) -> tuple[str, ...]:
        """The axes of theirs, each as the letters merged in it."""
        found = re.findall(r"\((\w+)\)|(\w)", self.pattern.partition(" -> ")[2])
        return tuple(merged or single for merged, single in found)

    @property
    def _order(self) -> str:
        """The axes of theirs that are ours too."""
        return "".join(self.theirs).replace("1", "")

    def file_shape(self, ours: Shape) -> Shape:
        """The shape in the file of a weight of shape `ours`."""
        if not self.pattern:
            return ours
        sizes = {"1": 1, **dict(zip(self.ours, ours, strict=True))}
        return tuple(math.prod(sizes[axis] for axis in group) for group in self.theirs)

    def load(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        """The file's tensor as ours, a view where numpy can."""
        if not self.pattern:
            return theirs
        sizes, order = dict(zip(self.ours, ours, strict=True)), self._order
        split = theirs.reshape([sizes[axis] for axis in order])
        return split.transpose([order.index(axis) for axis in self.ours])

    def store(self, ours: np.ndarray) -> np.ndarray:
        """Our tensor as the file's, a view where numpy can."""
        if not self.pattern:
            return ours
        order = [self.ours.index(axis) for axis in self._order]
        return ours.transpose(order).reshape(self.file_shape(ours.shape))


SAME = Layout("")


@dataclass(frozen=True)
class Part:
    """Where a weight lies in a tensor that holds several.

    The tensor's `axis` is cut into `groups` equal groups, each group into `of` equal units, and
    the weight is the units `start` to `stop` of every group. `Part(0, 1, 3, groups=heads)` is the
    queries where every head's query, key and value follow each other.
    """

    start: int
    stop: int
    of: int
    groups: int = 1
    axis: int = 0

    def whole(self, shape: Shape) -> Shape:
        """The tensor's shape, given this part's."""
        sizes = list(shape)
        sizes[self.axis] = sizes[self.axis] * self.of // (self.stop - self.start)
        return tuple(sizes)

    def cut(self, tensor: np.ndarray) -> np.ndarray:
        """This part of the tensor, a view where numpy can."""
        units = np.moveaxis(tensor, self.axis, 0)
        units = units.reshape(self.groups, self.of, -1, *units.shape[1:])
        taken = units[:, self.start : self.stop]
        return np.moveaxis(taken.reshape(-1, *taken.shape[3:]), 0, self.axis)

    def units(self, piece: np.ndarray) -> np.ndarray:
        """The inverse of `cut`'s reshaping: (groups, units, unit, ...)."""
        first = np.moveaxis(piece, self.axis, 0)
        return first.reshape(self.groups, self.stop - self.start, -1, *first.shape[1:])


@dataclass(frozen=True)
class Rule:
    """One weight of ours and its tensor in a file.

    In both names `{i}` is the layer's index and `{_i}` the same as Keras numbers repeated layers:
    empty for layer 0, `_1` for layer 1. In theirs `{e}` is the index of an expert: each expert
    has a tensor of its own, and ours stacks them along its first axis.

    Attributes:
        ours: name of our weight: the path of its variable in the backbone.
        theirs: name of the tensor, or exact alternatives of which a file holds one; the first
            is the one written.
        layout: how theirs holds ours (one expert of it under `{e}`): a `Layout`, or its pattern.
        part: where theirs holds more than ours; (index, count) is short for that equal part along
            the last axis.
        skip: rows before the first of ours, which nothing uses; written as zeros.
        copy_of: for a head that may be tied. When the model has no such weight, a file may still
            hold the tensor if it is bit-equal to the one that fills the weight named here.
        zeros: when the model has no such weight, a file may still hold the tensor if it is zero.
        einsum: in KerasHub, a kernel of two axes that is an EinsumDense's, not a Dense's.
    """

    ours: str
    theirs: str | tuple[str, ...]
    layout: Layout | str = SAME
    part: Part | tuple[int, int] | None = None
    skip: int = 0
    copy_of: str | None = None
    zeros: bool = False
    einsum: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.layout, str):
            object.__setattr__(self, "layout", Layout(self.layout))
        if isinstance(self.part, tuple):
            index, count = self.part
            object.__setattr__(self, "part", Part(index, index + 1, count, axis=-1))

    @property
    def names(self) -> tuple[str, ...]:
        """The alternatives, most usual first."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs

    @property
    def by_expert(self) -> bool:
        """Whether each expert has a tensor of its own."""
        return "{e}" in self.names[0]

    def of_expert(self, expert: int) -> Rule:
        """The rule for one expert's slice of our weight."""
        names = tuple(name.replace("{e}", str(expert)) for name in self.names)
        return replace(self, theirs=names)

    def file_shape(self, ours: Shape) -> Shape:
        """The shape in the file of a weight of shape `ours`, all parts together."""
        shape = self.layout.file_shape(ours)
        if self.skip:
            shape = (shape[0] + self.skip, *shape[1:])
        return shape if self.part is None else self.part.whole(shape)

    def load(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        """Our tensor of shape `ours` from theirs, a view where numpy can."""
        if self.part is not None:
            theirs = self.part.cut(theirs)
        return self.layout.load(theirs[self.skip :], ours)

    def store(self, ours: np.ndarray) -> np.ndarray:
        """Our tensor as theirs, or as its part of theirs."""
        theirs = self.layout.store(ours)
        if not self.skip:
            return theirs
        unused = np.zeros((self.skip, *theirs.shape[1:]), theirs.dtype)
        return np.concatenate([unused, theirs])


Rules = Sequence[Rule] | Callable[[Mapping[str, Any]], Sequence[Rule]]


def rules_for(rules: Rules, arguments: Mapping[str, Any]) -> Sequence[Rule]:
    """A family's rules for a model of these constructor arguments: where a file fuses weights of
    unequal sizes, the rules depend on them."""
    return rules(arguments) if callable(rules) else rules


def repeats(arguments: Mapping[str, Any]) -> Any:
    """How many layers a family's indexed rules are for: `num_layers`. Families with two stacks
    of layers have rules that depend on the arguments and count both themselves."""
    return arguments.get("num_layers", 1)


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


def numbering(rules: Sequence[Rule], num_layers: int) -> tuple[Rule, ...]:
    """Rules of a stack of layers with their indices written in, for models of several stacks.

    Raises:
        SettingError: `num_layers` is no number of layers.
    """
    return tuple(expand(rules, layer_count("number of layers", num_layers)).values())


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
        if group[0].by_expert:
            for expert, tensor in enumerate(weights[group[0].ours]()):
                rule = group[0].of_expert(expert)
                yield rule.names[0], rule.store(tensor)
        else:
            yield theirs, _joined(theirs, group, weights)


def _joined(
    theirs: str, group: list[Rule], weights: Mapping[str, Callable[[], np.ndarray]]
) -> np.ndarray:
    tensors = [(rule.part, rule.store(weights[rule.ours]())) for rule in group]
    if tensors[0][0] is None:
        return tensors[0][1]
    tensors.sort(key=lambda item: item[0].start)
    parts = [part for part, _ in tensors]
    if not covers(parts):
        raise PresetError.at("weight rules", theirs, f"all of {parts[0].of} units", parts)
    whole = np.concatenate([part.units(tensor) for part, tensor in tensors], axis=1)
    return np.moveaxis(whole.reshape(-1, *whole.shape[3:]), 0, parts[0].axis)


def covers(parts: Collection[Part]) -> bool:
    """Whether the parts are a whole tensor, each unit once."""
    ordered = sorted(parts, key=lambda part: part.start)
    starts = [part.start for part in ordered]
    return (
        starts == [0, *(part.stop for part in ordered[:-1])] and ordered[-1].stop == ordered[0].of
    )


class Loader(Protocol):
    """Fills weights by name while a model is being built; `presets.loading` has the real one."""

    def initializer(self, name: str) -> Callable[..., Any]:
        """A Keras initializer for our weight `name`: `(shape, dtype) -> array`."""
        ...

    def quantization(self, name: str) -> Quantization:
        """Whether our matrix `name` comes as integers, and whether it has to become integers."""
        ...


class Quantization(NamedTuple):
    """A matrix's mode of quantisation in the file, and the one wanted of the layer; None where
    the file has floats, or where a layer keeps them."""

    held: str | None
    wanted: str | None


_loader: ContextVar[Loader | None] = ContextVar("weight_loader", default=None)


@contextmanager
def loading(loader: Loader | None) -> Iterator[Loader | None]:
    """While the block runs, variables are created with the loader's values; with None not."""
    token = _loader.set(loader)
    try:
        yield loader
    finally:
        _loader.reset(token)


def initializer(name: str, default: Any) -> Any:
    """The initializer for our weight `name`: the loader's inside `loading`, else `default`."""
    loader = _loader.get()
    return default if loader is None else loader.initializer(name)


def quantization(name: str) -> Quantization:
    """What the loader says of our matrix `name`; outside `loading` it stays as it is."""
    loader = _loader.get()
    return Quantization(None, None) if loader is None else loader.quantization(name)
