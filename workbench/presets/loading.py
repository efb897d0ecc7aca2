"""Loads a weight file into variables, one tensor at a time, with all problems in one error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones.all_or_nothing import all_or_nothing
from workbench.backbones.weights import (
    Part,
    Quantization,
    Rule,
    Shape,
    covers,
    expand,
    is_numbered,
    numbered,
)
from workbench.errors import PresetError
from workbench.formats.integer_rules import KERNEL, TABLE, has_bias, integer_rules
from workbench.formats.tensors import FLOATS, INTEGERS, STORED, TensorSource
from workbench.interrupts import let_through
from workbench.storage.files import CONFIG
from workbench.storage.json_files import first, shown
from workbench.storage.progress import Meter, check

_CHUNK = 2**20


class WeightLoader:
    """Provides the weights of one model, each exactly once, in the requested dtype.

    A tensor that does not fit is noted and replaced by zeros, so that `finish` reports all problems
    together. A model that asks for more than the file holds is stopped at once.

    Args:
        source: the weight file.
        rules: the family's table for this format.
        num_layers: the number of layers of the model.
        ignored: names of tensors that may stay unused; they may hold `{i}`.
        held: the quantization mode of the matrices that are integers in the file.
        wanted: the mode for the float matrices; None leaves them floats.

    Raises:
        PresetError: the file cannot hold `num_layers` layers.
    """

    def __init__(
        self,
        source: TensorSource,
        rules: Sequence[Rule],
        num_layers: int,
        ignored: Sequence[str] = (),
        held: str | None = None,
        wanted: str | None = None,
    ) -> None:
        tensors = len(source.names())
        if type(num_layers) is not int or not 0 < num_layers <= tensors:
            expected = f"1 to {tensors}, for as many tensors in {source.file}"
            raise PresetError.at(CONFIG, "number of layers", expected, shown(num_layers))
        self.source = source
        self.problems: list[str] = []
        self._rules = expand(rules, num_layers)
        self._held, self._wanted = held, wanted
        self._integers = self._find_integers()
        self._ignored = set(_numbered(ignored, num_layers))
        self._used: dict[str, set[Part | None]] = {}
        self._shared: dict[str, np.ndarray] = {}
        self._given: set[str] = set()
        self._left = sum(math.prod(source.shape(name)) for name in source.names())
        self._meter = Meter("reading", self._bytes_to_read(), source.file)

    def _find_integers(self) -> set[str]:
        """Return our names of the matrices that are integers in the file, and add their rules."""
        if self._held is None:
            return set()
        theirs, mode = self.source.names(), self._held
        found = {
            name: rule
            for name, rule in self._rules.items()
            if name.endswith((KERNEL, TABLE))
            and rule.names[0] in theirs
            and self.source.dtype(rule.names[0]) in INTEGERS
        }
        biased = {
            name.removesuffix(KERNEL) + "/bias"
            for name, rule in found.items()
            if has_bias(rule, mode, theirs)
        }
        self._rules |= integer_rules(self._rules, mode, found, biased)
        return set(found)

    def quantization(self, name: str) -> Quantization:
        """Return whether our matrix `name` is stored as integers, and whether to quantize it."""
        return Quantization(self._held if name in self._integers else None, self._wanted)

    def initializer(self, name: str) -> Callable[..., jax.Array]:
        """Return a Keras initializer for our weight `name`: `(shape, dtype) -> array`."""

        def fill(shape: Shape, dtype: Any = None) -> jax.Array:
            return self.value(name, tuple(shape), dtype or "float32")

        return fill

    def value(self, name: str, shape: Shape, dtype: Any) -> jax.Array:
        """Return our weight `name` on the device, or zeros if the file has no fitting tensor."""
        let_through()
        self._left -= math.prod(shape)
        if self._left < 0:
            self.problems.append(f"{name} {shape}: the model holds more numbers than the file")
            self.finish()
        rule = self._rule(name)
        if rule is None:
            return jnp.zeros(shape, dtype)
        if rule.by_expert:
            return jax.block_until_ready(jax.device_put(self._stacked(rule, shape, dtype)))
        theirs = self._find(rule, shape, INTEGERS if str(dtype) in INTEGERS else FLOATS)
        if theirs is None:
            return jnp.zeros(shape, dtype)
        return jax.block_until_ready(jax.device_put(self._fetch(rule, theirs, shape, dtype)))

    def _stacked(self, rule: Rule, shape: Shape, dtype: Any) -> np.ndarray:
        """Stack experts that the file stores separately into one array."""
        values = np.zeros(shape, jnp.dtype(dtype))
        for expert in range(shape[0]):
            one = rule.of_expert(expert)
            theirs = self._find(one, shape[1:])
            if theirs is not None:
                values[expert] = self._fetch(one, theirs, shape[1:], dtype)
        return values

    def _fetch(self, rule: Rule, theirs: str, shape: Shape, dtype: Any) -> np.ndarray:
        values = _cast(rule.load(self._read(theirs, rule), shape), dtype)
        if values.dtype not in INTEGERS.values() and not _all_finite(values):
            self.problems.append(f"{shown(theirs)}: holds NaN or infinite numbers as {dtype}")
        return values

    def finish(self) -> None:
        """Check that every tensor was used exactly once.

        Raises:
            PresetError: with all problems of the file, the first 20 in full.
        """
        problems = [*self.problems, *self._left_over(), *self._half_used()]
        if problems:
            count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
            raise PresetError(f"{self.source.file}: {count}:\n{first(problems)}")
        self._meter.finish()

    def _bytes_to_read(self) -> int:
        source = self.source
        return sum(
            math.prod(source.shape(name)) * STORED[source.dtype(name)].itemsize
            for name in source.names()
            if name not in self._ignored and source.dtype(name) in STORED
        )

    def _rule(self, name: str) -> Rule | None:
        """Return the rule for our weight, which may be asked for once; otherwise note the problem
        and return None."""
        if name in self._given:
            self.problems.append(f"{name}: two weights of the model have this name")
            return None
        self._given.add(name)
        rule = self._rules.get(name)
        if rule is None:
            self.problems.append(f"{name}: the family's weight rules lack this weight")
        return rule

    def _find(self, rule: Rule, shape: Shape, dtypes: Mapping[str, Any] = FLOATS) -> str | None:
        """Return the file's name of a rule's tensor, or note the problem and return None."""
        present = [theirs for theirs in rule.names if theirs in self.source.names()]
        if len(present) != 1:
            found = "missing" if not present else "both present"
            self.problems.append(f"{' or '.join(rule.names)} {rule.file_shape(shape)}: {found}")
            return None
        self._used.setdefault(present[0], set()).add(rule.part)
        return present[0] if self._fits(present[0], rule.file_shape(shape), dtypes) else None

    def _fits(self, theirs: str, expected: Shape, dtypes: Mapping[str, Any]) -> bool:
        shape, dtype = self.source.shape(theirs), self.source.dtype(theirs)
        if shape != expected:
            got = shown(shape)
            self.problems.append(f"{shown(theirs)}: expected shape {expected}, got {got}")
        if dtype not in dtypes:
            self.problems.append(f"{shown(theirs)}: expected {' or '.join(dtypes)}, got {dtype}")
        return shape == expected and dtype in dtypes

    def _read(self, theirs: str, rule: Rule) -> np.ndarray:
        """Read the tensor; keep it only while other weights still need their part of it."""
        values = self._shared.pop(theirs, None)
        if values is None:
            check()
            self._meter.report()
            values = self.source.read(theirs)
            self._meter.add(values.nbytes, self.source.file)
        if rule.part is not None and not covers(_cuts(self._used[theirs])):
            self._shared[theirs] = values
        return values

    def _left_over(self) -> list[str]:
        copies = {
            name: rule.copy_of
            for rule in self._rules.values()
            for name in rule.names
            if rule.copy_of is not None and rule.ours not in self._given
        }
        zeros = {name for rule in self._rules.values() if rule.zeros for name in rule.names}
        problems = []
        for name in sorted(set(self.source.names()) - set(self._used) - self._ignored):
            if name in zeros:
                problems += self._not_zero(name)
            elif name not in copies:
                problems.append(f"{shown(name)} {self.source.shape(name)}: unexpected")
            elif not self._is_copy(name, copies[name]):
                problems.append(f"{shown(name)}: the model is tied, this is not a copy")
        return problems

    def _not_zero(self, name: str) -> list[str]:
        if self.source.dtype(name) in FLOATS and not self.source.read(name).any():
            return []
        return [f"{shown(name)}: the model has no such weight, so it has to be zero, and is not"]

    def _is_copy(self, name: str, original: str) -> bool:
        present = [n for n in self._rules[original].names if n in self._used]
        return bool(present) and _same_tensor(self.source, name, present[0])

    def _half_used(self) -> list[str]:
        cuts = {name: _cuts(parts) for name, parts in self._used.items() if None not in parts}
        return [
            f"{shown(name)}: {sum(p.stop - p.start for p in parts)} of its "
            f"{next(iter(parts)).of} parts used"
            for name, parts in cuts.items()
            if not covers(parts)
        ]


def _cuts(parts: Iterable[Part | None]) -> set[Part]:
    """Return the parts of a tensor that were read separately."""
    return {part for part in parts if part is not None}


def assign(model: keras.Model, loader: WeightLoader) -> None:
    """Load weights into a live model. All are read and checked before the first is assigned.

    During the load, the old and the new weights are both in memory.

    Raises:
        PresetError: as `WeightLoader.finish`; the model is unchanged.
    """
    values = [loader.value(v.path, tuple(v.shape), v.dtype) for v in model.weights]
    loader.finish()
    with all_or_nothing(model):
        for variable, value in zip(model.weights, values, strict=True):
            variable.assign(value)


def _numbered(templates: Sequence[str], num_layers: int) -> list[str]:
    return [
        numbered(template, index)
        for template in templates
        for index in range(num_layers if is_numbered(template) else 1)
    ]


def _cast(values: np.ndarray, dtype: Any) -> np.ndarray:
    with np.errstate(over="ignore"):  # values that overflow float16 are reported as infinite
        return values.astype(jnp.dtype(dtype), copy=False)


def _all_finite(values: np.ndarray) -> bool:
    flat = values.ravel(order="K")  # also a view of a transposed tensor
    for start in range(0, flat.size, _CHUNK):
        check()
        if not np.isfinite(flat[start : start + _CHUNK]).all():
            return False
    return True


def _same_tensor(source: TensorSource, a: str, b: str) -> bool:
    same_kind = (source.shape(a), source.dtype(a)) == (source.shape(b), source.dtype(b))
    if not same_kind or source.dtype(a) not in FLOATS:
        return False
    return np.array_equal(source.read(a).view(np.uint8), source.read(b).view(np.uint8))
