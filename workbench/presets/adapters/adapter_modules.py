"""Maps low-rank updates of our projections to the modules of another library.

One of their modules may hold one of our projections or several, such as queries, keys and values in
one matrix. Both sides write an update as B A. Only the order of inputs and outputs differs, and the
families' weight rules give it; the numbers stay unchanged.
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
from workbench.keras_internals import layers_within
from workbench.storage.json_files import first

KERNEL = "/kernel"


@dataclass(frozen=True)
class Place:
    """One of our projections inside one of their modules.

    Attributes:
        path: the projection's path in the backbone.
        outputs: the output axes of its kernel.
        inputs: the input axes of its kernel.
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
        """The output axes, in our order."""
        return self._letters[: len(self.outputs)]

    @property
    def input_letters(self) -> str:
        """The input axes, in our order."""
        return self._letters[len(self.outputs) :]

    @property
    def theirs(self) -> tuple[str, ...]:
        """Their axes; each is the string of our letters that it merges."""
        return self.rule.layout.theirs or tuple(self._letters)

    def _their_order(self, letters: str) -> str:
        return "".join(letter for letter in "".join(self.theirs) if letter in letters)

    def _turned(self, values: np.ndarray, axes: str, order: str) -> np.ndarray:
        """Reorder the last axis of `values`, merged from `axes`, to the order `order`."""
        if axes == order:
            return values
        split = values.reshape(len(values), *(self.sizes[letter] for letter in axes))
        turned = split.transpose(0, *(1 + axes.index(letter) for letter in order))
        return turned.reshape(values.shape)

    def load(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert their A (rank, inputs) and B (outputs, rank), cut to this part, to ours."""
        ins, outs = self.input_letters, self.output_letters
        turned = self._turned(b.T, self._their_order(outs), outs)
        return self._turned(a, self._their_order(ins), ins), turned.T

    def store(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Convert our A and B to theirs: the inverse of `load`."""
        ins, outs = self.input_letters, self.output_letters
        turned = self._turned(b.T, outs, self._their_order(outs))
        return self._turned(a, ins, self._their_order(ins)), turned.T

    @property
    def part(self) -> Part:
        """The rows of their B that belong to this projection."""
        return Part(0, 1, 1) if self.rule.part is None else replace(self.rule.part, axis=0)


@dataclass(frozen=True)
class Module:
    """One of their modules, with the projections of ours that it holds."""

    name: str
    places: tuple[Place, ...]

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return math.prod(self.places[0].inputs)

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return sum(math.prod(place.outputs) for place in self.places)

    @property
    def file_shape(self) -> Shape:
        """The shape of its kernel."""
        place = self.places[0]
        return place.rule.file_shape(place.outputs + place.inputs)

    def holds(self, adapter: Adapter) -> bool:
        """Return whether the adapter updates one of its projections."""
        return any(place.path in adapter.updates for place in self.places)

    def split(self, theirs: LowRank) -> dict[str, LowRank]:
        """Split the module's update into one for each of our projections, by path.

        If every row of A serves only one projection, as `join` writes it, each gets its own rows;
        otherwise all share the same A.
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
        """Join the updates of our projections into one update of the module; some may have none.

        If all share A, it stays as it is; otherwise the rank is the sum of their ranks, and B has
        one block for each.
        """
        own = [updates.get(place.path) for place in self.places]
        given = [update for update in own if update is not None]
        scale = given[0].scale if len({update.scale for update in given}) == 1 else 1.0
        stored = [
            None if update is None else place.store(update.a, _scaled(update, scale))
            for place, update in zip(self.places, own, strict=True)
        ]
        there = [pair for pair in stored if pair is not None]
        first_a, first_b = there[0]
        if len(self.places) == 1:
            return LowRank(first_a, first_b, scale)
        if len(there) == len(stored) and all(np.array_equal(a, first_a) for a, _ in there):
            return LowRank(first_a, self._rows([b for _, b in there]), scale)
        a = np.concatenate([a for a, _ in there])
        return LowRank(a, self._rows(self._blocks(stored, len(a))), scale)

    def _blocks(self, stored: Sequence[tuple | None], rank: int) -> list[np.ndarray]:
        """Return each projection's rows of B, with its numbers at its own rows of A."""
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
        """Build B from the rows of each projection."""
        units = [place.part.units(part) for place, part in zip(self.places, parts, strict=True)]
        return np.concatenate(units, axis=1).reshape(self.outputs, -1)


def _scaled(update: LowRank, scale: float) -> np.ndarray:
    """Return B rescaled so that the update has this scale."""
    return update.b if update.scale == scale else np.float32(update.scale / scale) * update.b


def kernels(backbone: Backbone) -> dict[str, tuple[Shape, Shape]]:
    """Return the output and the input axes of every projection's kernel, by path."""
    layers = layers_within(backbone)
    return {str(layer.path): layer.kernel_axes for layer in layers if isinstance(layer, Projection)}


def modules(
    backbone: Backbone, rules: Rules, name: Callable[[Rule], str | None]
) -> dict[str, Module]:
    """Return the modules that hold projections of a backbone, by name. `name` turns a weight rule
    into a module name, or into None to leave the projection out."""
    arguments = backbone.arguments
    table = expand(rules_for(rules, arguments), repeats(arguments))
    found: dict[str, list[Place]] = {}
    for path, (outputs, inputs) in kernels(backbone).items():
        rule = table.get(path + KERNEL)
        called = None if rule is None else name(rule)
        if rule is not None and called is not None:
            found.setdefault(called, []).append(Place(path, outputs, inputs, rule))
    return {
        called: Module(called, tuple(sorted(places, key=_start)))
        for called, places in found.items()
    }


def check_updates(adapter: Adapter, table: Mapping[str, Module], library: str) -> None:
    """Check that the other library can hold every update.

    Raises:
        AdapterError: the adapter has no updates, an update of a projection that is in none of the
            modules, or an update of the wrong shape.
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
