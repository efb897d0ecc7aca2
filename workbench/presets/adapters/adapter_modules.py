"""Where the low-rank updates of our projections lie in another library's modules.

A module of theirs may be one projection of ours, or several: queries, keys and values as one
matrix. Both sides write an update as B A, so only the order of inputs and outputs differs, which
the families' weight rules say; numbers pass through as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.backbones.adapter import Adapter, LowRank
from workbench.backbones.backbone import Backbone
from workbench.backbones.layers.named import Projection
from workbench.backbones.weights import Part, Rule, Rules, Shape, expand, repeats, rules_for
from workbench.errors import AdapterError
from workbench.storage.json_files import first

KERNEL = "/kernel"


@dataclass(frozen=True)
class Place:
    """A projection of ours in a module of theirs.

    Attributes:
        path: the projection's path in the backbone.
        outputs: the axes of its kernel that are outputs.
        inputs: those that are inputs.
        rule: the weight rule of its kernel.
    """

    path: str
    outputs: Shape
    inputs: Shape
    rule: Rule

    @property
    def _letters(self) -> str:
        count = len(self.outputs) + len(self.inputs)
        return self.rule.layout.ours or "abcdefgh"[:count]

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each axis by its letter."""
        return dict(zip(self._letters, self.outputs + self.inputs, strict=True))

    @property
    def output_letters(self) -> str:
        """The axes that are outputs, in our order."""
        return self._letters[: len(self.outputs)]

    @property
    def input_letters(self) -> str:
        """The axes that are inputs, in our order."""
        return self._letters[len(self.outputs) :]

    @property
    def theirs(self) -> tuple[str, ...]:
        """Their axes, each as the letters of ours that are merged in it."""
        return self.rule.layout.theirs or tuple(self._letters)

    def _their_order(self, letters: str) -> str:
        return "".join(letter for letter in "".join(self.theirs) if letter in letters)

    def _turned(self, values: np.ndarray, axes: str, order: str) -> np.ndarray:
        """The last axis of `values`, merged from `axes`, merged in another order."""
        if axes == order:
            return values
        split = values.reshape(len(values), *(self.sizes[letter] for letter in axes))
        turned = split.transpose(0, *(1 + axes.index(letter) for letter in order))
        return turned.reshape(values.shape)

    def load(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Their A (rank, inputs) and their B (outputs, rank), cut to this part, as ours."""
        ins, outs = self.input_letters, self.output_letters
        turned = self._turned(b.T, self._their_order(outs), outs)
        return self._turned(a, self._their_order(ins), ins), turned.T

    def store(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of `load`."""
        ins, outs = self.input_letters, self.output_letters
        turned = self._turned(b.T, outs, self._their_order(outs))
        return self._turned(a, ins, self._their_order(ins)), turned.T

    @property
    def part(self) -> Part | None:
        """Which rows of their B are this projection's; None for all."""
        return None if self.rule.part is None else replace(self.rule.part, axis=0)


@dataclass(frozen=True)
class Module:
    """A module of theirs, with the projections of ours that it holds."""

    name: str
    places: tuple[Place, ...]

    @property
    def inputs(self) -> int:
        """How many numbers it reads."""
        return math.prod(self.places[0].inputs)

    @property
    def outputs(self) -> int:
        """How many numbers it makes."""
        return sum(math.prod(place.outputs) for place in self.places)

    @property
    def file_shape(self) -> Shape:
        """The shape of its kernel."""
        place = self.places[0]
        return place.rule.file_shape(place.outputs + place.inputs)

    def holds(self, adapter: Adapter) -> bool:
        """Whether the adapter has an update of one of its projections."""
        return any(place.path in adapter.updates for place in self.places)

    def split(self, theirs: LowRank) -> dict[str, LowRank]:
        """The update of each of our projections, by path.

        Where every row of A serves one of them alone, as `join` writes it, each gets its own
        rows; else all have the same A.
        """
        if len(self.places) == 1:
            (place,) = self.places
            return {place.path: LowRank(*place.load(theirs.a, theirs.b), theirs.scale)}
        cuts = [place.part.cut(theirs.b) for place in self.places]
        used = np.array([cut.any(axis=0) for cut in cuts])
        apart = (used.sum(axis=0) == 1).all()
        updates = {}
        for place, cut, own in zip(self.places, cuts, used, strict=True):
            rows = own if apart else slice(None)
            a, b = theirs.a[rows], cut[:, rows]
            if len(a):
                updates[place.path] = LowRank(*place.load(a, b), theirs.scale)
        return updates

    def join(self, updates: Mapping[str, LowRank]) -> LowRank:
        """The module's update that does what those of our projections do; some may have none.

        Where all share A, it stays one; else the rank is the sum of theirs, and B has a block for
        each.
        """
        own = [updates.get(place.path) for place in self.places]
        given = [update for update in own if update is not None]
        scale = given[0].scale if len({update.scale for update in given}) == 1 else 1.0
        stored = [
            None if update is None else place.store(update.a, _scaled(update, scale))
            for place, update in zip(self.places, own, strict=True)
        ]
        if len(self.places) == 1:
            return LowRank(*stored[0], scale)
        if None not in stored and all(np.array_equal(a, stored[0][0]) for a, _ in stored):
            return LowRank(stored[0][0], self._rows([b for _, b in stored]), scale)
        a = np.concatenate([pair[0] for pair in stored if pair is not None])
        return LowRank(a, self._rows(self._blocks(stored, len(a))), scale)

    def _blocks(self, stored: Sequence[tuple | None], rank: int) -> list[np.ndarray]:
        """Each projection's rows of B, with its numbers at its own rows of A."""
        blocks, start = [], 0
        for place, pair in zip(self.places, stored, strict=True):
            block = np.zeros((math.prod(place.outputs), rank), np.float32)
            if pair is not None:
                stop = start + pair[1].shape[1]
                block[:, start:stop] = pair[1]
                start = stop
            blocks.append(block)
        return blocks

    def _rows(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """B from the rows of each projection."""
        units = [place.part.units(part) for place, part in zip(self.places, parts, strict=True)]
        return np.concatenate(units, axis=1).reshape(self.outputs, -1)


def _scaled(update: LowRank, scale: float) -> np.ndarray:
    """B, such that the update has this scale."""
    return update.b if update.scale == scale else np.float32(update.scale / scale) * update.b


def kernels(backbone: Backbone) -> dict[str, tuple[Shape, Shape]]:
    """The axes of outputs and of inputs of every projection's kernel, by path."""
    layers = backbone._flatten_layers(include_self=False)
    return {layer.path: layer.kernel_axes for layer in layers if isinstance(layer, Projection)}


def modules(
    backbone: Backbone, rules: Rules, name: Callable[[Rule], str | None]
) -> dict[str, Module]:
    """The modules that hold projections of a backbone, by the name that `name` makes of a rule;
    None leaves the projection out."""
    arguments = backbone.arguments
    table = expand(rules_for(rules, arguments), repeats(arguments))
    found: dict[str, list[Place]] = {}
    for path, (outputs, inputs) in kernels(backbone).items():
        rule = table.get(path + KERNEL)
        called = None if rule is None else name(rule)
        if called is not None:
            found.setdefault(called, []).append(Place(path, outputs, inputs, rule))
    return {
        called: Module(called, tuple(sorted(places, key=_start)))
        for called, places in found.items()
    }


def check_updates(adapter: Adapter, table: Mapping[str, Module], library: str) -> None:
    """Refuse what another library cannot hold.

    Raises:
        AdapterError: the adapter has no updates, or one of a projection that none of the modules
            holds, or one whose shape is another.
    """
    places = {place.path: place for module in table.values() for place in module.places}
    problems = [
        problem
        for path, update in adapter.updates.items()
        for problem in _misfits(path, update, places.get(path), library)
    ]
    if problems or not adapter.updates:
        raise AdapterError(f"adapter: {first(problems or ['it has no updates'])}")


def _misfits(path: str, update: LowRank, place: Place | None, library: str) -> Iterator[str]:
    if place is None:
        yield f"{path}: expected a projection that {library} has as a layer of its own, got none"
        return
    outputs, inputs = math.prod(place.outputs), math.prod(place.inputs)
    expected = (update.rank, inputs), (outputs, update.rank)
    got = tuple(update.a.shape), tuple(update.b.shape)
    if got != expected:
        yield f"{path}: expected A and B of shapes {expected}, got {got}"


def _start(place: Place) -> int:
    return 0 if place.rule.part is None else place.rule.part.start
