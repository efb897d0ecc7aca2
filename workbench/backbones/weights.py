"""Weight maps as data: which tensor of a file fills which weight of a backbone, and in what layout.

A family writes one tuple of rules for each file format. The same rules load and store. They do not
know how a layer holds its weights: a layer that keeps several named weights in one variable asks
`initializer` for each of them and joins the parts.
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
    """The axes of one of our weights in a file, as a pattern with one letter an axis.

    `"hkd -> (hk)d"`: our axes are h, k, d; the file has two axes, the first being h and k merged.
    `"fd -> df"`: the file has the transpose. `"f -> 1f"`: the file has an extra axis of size 1. The
    empty pattern: both are the same.
    """

    pattern: str

    @property
    def ours(self) -> str:
        """Our axes, one letter each; empty if both are the same."""
        return self.pattern.partition(" -> ")[0]

    @property
    def theirs(self) -> tuple[str, ...]:
        """The file's axes, each as the letters of our axes merged in it."""
        found = re.findall(r"\((\w+)\)|(\w)", self.pattern.partition(" -> ")[2])
        return tuple(merged or single for merged, single in found)

    @property
    def _order(self) -> str:
        """Our axes in the file's order."""
        return "".join(self.theirs).replace("1", "")

    def file_shape(self, ours: Shape) -> Shape:
        """Return the file's shape of a weight of shape `ours`."""
        if not self.pattern:
            return ours
        sizes = {"1": 1, **dict(zip(self.ours, ours, strict=True))}
        return tuple(math.prod(sizes[axis] for axis in group) for group in self.theirs)

    def load(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        """Turn the file's tensor into ours, as a view if possible."""
        if not self.pattern:
            return theirs
        sizes, order = dict(zip(self.ours, ours, strict=True)), self._order
        split = theirs.reshape([sizes[axis] for axis in order])
        return split.transpose([order.index(axis) for axis in self.ours])

    def store(self, ours: np.ndarray) -> np.ndarray:
        """Turn our tensor into the file's, as a view if possible."""
        if not self.pattern:
            return ours
        order = [self.ours.index(axis) for axis in self._order]
        return ours.transpose(order).reshape(self.file_shape(ours.shape))


SAME = Layout("")


@dataclass(frozen=True)
class Part:
    """The part of a fused tensor that is one weight.

    The tensor's `axis` is divided into `groups` equal groups, each group into `of` equal units. The
    weight is the units `start` to `stop` of every group. `Part(0, 1, 3, groups=heads)` is the
    queries if the query, key and value of each head follow each other.
    """

    start: int
    stop: int
    of: int
    groups: int = 1
    axis: int = 0

    def whole(self, shape: Shape) -> Shape:
        """Return the fused tensor's shape, given this part's."""
        sizes = list(shape)
        sizes[self.axis] = sizes[self.axis] * self.of // (self.stop - self.start)
        return tuple(sizes)

    def cut(self, tensor: np.ndarray) -> np.ndarray:
        """Return this part of the fused tensor, as a view if possible."""
        units = np.moveaxis(tensor, self.axis, 0)
        units = units.reshape(self.groups, self.of, -1, *units.shape[1:])
        taken = units[:, self.start : self.stop]
        return np.moveaxis(taken.reshape(-1, *taken.shape[3:]), 0, self.axis)

    def units(self, piece: np.ndarray) -> np.ndarray:
        """Reshape a part to (groups, units, unit, ...), ready to be joined with others."""
        first = np.moveaxis(piece, self.axis, 0)
        return first.reshape(self.groups, self.stop - self.start, -1, *first.shape[1:])


class _Layout:
    """The field `Rule.layout`: takes a pattern too, and holds a `Layout`."""

    def __get__(self, rule: Rule | None, owner: type | None = None) -> Layout:
        return SAME if rule is None else vars(rule)["layout"]

    def __set__(self, rule: Rule, value: Layout | str) -> None:
        vars(rule)["layout"] = Layout(value) if isinstance(value, str) else value


class _Part:
    """The field `Rule.part`: takes (index, count) too, and holds a `Part` or None."""

    def __get__(self, rule: Rule | None, owner: type | None = None) -> Part | None:
        return None if rule is None else vars(rule)["part"]

    def __set__(self, rule: Rule, value: Part | tuple[int, int] | None) -> None:
        if isinstance(value, tuple):
            index, count = value
            value = Part(index, index + 1, count, axis=-1)
        vars(rule)["part"] = value


@dataclass(frozen=True)
class Rule:
    """One of our weights and its tensor in a file.

    In both names `{i}` is the layer's index. `{_i}` is the suffix that Keras gives repeated layers:
    empty for layer 0, `_1` for layer 1. In `theirs`, `{e}` is the index of an expert: each expert
    has its own tensor, and our weight stacks them along its first axis.

    Attributes:
        ours: name of our weight: the path of its variable in the backbone.
        theirs: name of the tensor, or alternative names of which a file holds one; the first is
            the one written.
        layout: the axes in the file (of one expert with `{e}`): a `Layout`, or its pattern.
        part: which part of a fused tensor our weight is; (index, count) is short for one of `count`
            equal parts along the last axis.
        skip: number of unused rows before our first row; written as zeros.
        copy_of: for a head that may be tied. If the model has no such weight, a file may still hold
            the tensor, bit-equal to the one for the weight named here.
        zeros: if the model has no such weight, a file may still hold the tensor, all zeros.
        einsum: in KerasHub, a kernel of two axes that belongs to an EinsumDense, not a Dense.
    """

    ours: str
    theirs: str | tuple[str, ...]
    layout: _Layout = _Layout()
    part: _Part = _Part()
    skip: int = 0
    copy_of: str | None = None
    zeros: bool = False
    einsum: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The alternative names, the one to write first."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs

    @property
    def by_expert(self) -> bool:
        """Whether each expert has its own tensor."""
        return "{e}" in self.names[0]

    def of_expert(self, expert: int) -> Rule:
        """Return the rule for one expert's slice of our weight."""
        names = tuple(name.replace("{e}", str(expert)) for name in self.names)
        return replace(self, theirs=names)

    def file_shape(self, ours: Shape) -> Shape:
        """Return the file's shape, all parts together, of a weight of shape `ours`."""
        shape = self.layout.file_shape(ours)
        if self.skip:
            shape = (shape[0] + self.skip, *shape[1:])
        return shape if self.part is None else self.part.whole(shape)

    def load(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        """Turn the file's tensor into ours of shape `ours`, as a view if possible."""
        if self.part is not None:
            theirs = self.part.cut(theirs)
        return self.layout.load(theirs[self.skip :], ours)

    def store(self, ours: np.ndarray) -> np.ndarray:
        """Turn our tensor into the file's, or into its part of a fused tensor."""
        theirs = self.layout.store(ours)
        if not self.skip:
            return theirs
        unused = np.zeros((self.skip, *theirs.shape[1:]), theirs.dtype)
        return np.concatenate([unused, theirs])


Rules = Sequence[Rule] | Callable[[Mapping[str, Any]], Sequence[Rule]]


def rules_for(rules: Rules, arguments: Mapping[str, Any]) -> Sequence[Rule]:
    """Return a family's rules for these constructor arguments; they matter if a file fuses weights
    of unequal sizes."""
    return rules(arguments) if callable(rules) else rules


def repeats(arguments: Mapping[str, Any]) -> Any:
    """Return the number of layers for a family's indexed rules: `num_layers`. The rules of families
    with two stacks depend on the arguments, and count the layers themselves."""
    return arguments.get("num_layers", 1)


def either(prefix: str, name: str) -> tuple[str, str]:
    """Return a tensor's names with and without the base prefix: files have either."""
    return (prefix + name, name)


def numbered(template: str, index: int) -> str:
    """Fill a layer's index into a name: `{i}` and `{_i}`."""
    return template.replace("{_i}", f"_{index}" if index else "").replace("{i}", str(index))


def is_numbered(template: str) -> bool:
    """Whether a name contains a layer's index."""
    return "{i}" in template or "{_i}" in template


def expand(rules: Sequence[Rule], num_layers: int) -> dict[str, Rule]:
    """Return the rules of a model of `num_layers` layers by the name of our weight, in layer order.

    A rule without an index stays one rule.

    Raises:
        PresetError: a family's table has two rules for one weight.
    """
    expanded = [rule for rule in rules if not is_numbered(rule.ours)]
    repeated = [rule for rule in rules if is_numbered(rule.ours)]
    for index in range(num_layers):
        for rule in repeated:
            names = tuple(numbered(name, index) for name in rule.names)
            expanded.append(replace(rule, ours=numbered(rule.ours, index), theirs=names))
    table = {rule.ours: rule for rule in expanded}
    if len(table) != len(expanded):
        raise PresetError("weight rules: two rules name the same weight")
    return table


def numbering(rules: Sequence[Rule], num_layers: int) -> tuple[Rule, ...]:
    """Return the rules of one stack of layers with indices filled in, for models of several stacks.

    Raises:
        SettingError: `num_layers` is no integer from 1 to `MAX_LAYERS`.
    """
    return tuple(expand(rules, layer_count("number of layers", num_layers)).values())


def stored(
    rules: Mapping[str, Rule], weights: Mapping[str, Callable[[], np.ndarray]]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the file's names and tensors for the weights of a model, one tensor at a time.

    Args:
        rules: as `expand` returns them.
        weights: by our names, functions that return the values; called when needed.

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
    if group[0].part is None:
        return group[0].store(weights[group[0].ours]())
    tensors = [(r.part, r.store(weights[r.ours]())) for r in group if r.part is not None]
    tensors.sort(key=lambda item: item[0].start)
    parts = [part for part, _ in tensors]
    if not covers(parts):
        raise PresetError.at("weight rules", theirs, f"all of {parts[0].of} units", parts)
    whole = np.concatenate([part.units(tensor) for part, tensor in tensors], axis=1)
    return np.moveaxis(whole.reshape(-1, *whole.shape[3:]), 0, parts[0].axis)


def covers(parts: Collection[Part]) -> bool:
    """Whether the parts cover a whole tensor, each unit once."""
    ordered = sorted(parts, key=lambda part: part.start)
    starts = [part.start for part in ordered]
    return (
        starts == [0, *(part.stop for part in ordered[:-1])] and ordered[-1].stop == ordered[0].of
    )


class Loader(Protocol):
    """Fills weights by name while a model is built; implemented in `presets.loading`."""

    def initializer(self, name: str) -> Callable[..., Any]:
        """Return a Keras initializer for our weight `name`: `(shape, dtype) -> array`."""
        ...

    def quantization(self, name: str) -> Quantization:
        """Return the quantisation of our matrix `name` in the file and in the model."""
        ...


class Quantization(NamedTuple):
    """A matrix's quantisation mode in the file, `held`, and in the layer, `wanted`; None for
    floats."""

    held: str | None
    wanted: str | None


_loader: ContextVar[Loader | None] = ContextVar("weight_loader", default=None)


@contextmanager
def loading(loader: Loader | None) -> Iterator[Loader | None]:
    """Create the block's variables with the loader's values; with None, without a loader."""
    token = _loader.set(loader)
    try:
        yield loader
    finally:
        _loader.reset(token)


def initializer(name: str, default: Any) -> Any:
    """Return the initializer of weight `name`: the loader's within `loading`, else `default`."""
    loader = _loader.get()
    return default if loader is None else loader.initializer(name)


def quantization(name: str) -> Quantization:
    """Return the quantisation of our matrix `name`; outside `loading`, none."""
    loader = _loader.get()
    return Quantization(None, None) if loader is None else loader.quantization(name)
