"""Weight rules: what is stored can be loaded, and every family's table fits its model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.backbones import weights
from workbench.backbones.weights import Rule, expand, numbered, stored
from workbench.errors import PresetError
from workbench.families.registry import families

sizes = st.integers(1, 4)
PATTERNS = {
    "": 3,
    "hkd -> (hk)d": 3,
    "hkd -> d(hk)": 3,
    "hkd -> dhk": 3,
    "hkd -> hdk": 3,
    "dhk -> hkd": 3,
    "dhk -> (hk)d": 3,
    "fd -> df": 2,
    "hk -> (hk)": 2,
}


@st.composite
def cases(draw):
    pattern = draw(st.sampled_from(list(PATTERNS)))
    rank = PATTERNS[pattern]
    return weights.Layout(pattern), tuple(draw(st.lists(sizes, min_size=rank, max_size=rank)))


def numbers(shape):
    return np.arange(math.prod(shape), dtype=np.float32).reshape(shape)


@given(cases())
def test_what_a_layout_stores_it_loads(case):
    layout, shape = case
    ours = numbers(shape)
    theirs = layout.store(ours)
    assert theirs.shape == layout.file_shape(shape)
    np.testing.assert_array_equal(layout.load(theirs, shape), ours)


def test_layouts_mean_what_they_say():
    ours = numbers((2, 3, 4))
    expected = {
        "": ours,
        "hkd -> (hk)d": ours.reshape(6, 4),
        "hkd -> d(hk)": ours.reshape(6, 4).T,
        "dhk -> d(hk)": ours.reshape(2, 12),
        "hkd -> dhk": np.stack([ours[..., column] for column in range(4)]),
        "hkd -> hdk": np.stack([head.T for head in ours]),
        "hkd -> (hkd)": ours.reshape(24),
    }
    for pattern, theirs in expected.items():
        np.testing.assert_array_equal(weights.Layout(pattern).store(ours), theirs)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_parts_of_one_tensor_are_stored_together_and_loaded_apart(count, rows, columns):
    rules = [
        Rule(f"w{k}", "fused", "abc -> a(bc)", part=(k, count) if count > 1 else None)
        for k in range(count)
    ]
    ours = {f"w{k}": numbers((rows, 2, columns)) + 100 * k for k in range(count)}
    table = expand(rules, 1)
    written = dict(stored(table, {name: (lambda v=value: v) for name, value in ours.items()}))
    assert written["fused"].shape == table["w0"].file_shape((rows, 2, columns))
    for name, value in ours.items():
        np.testing.assert_array_equal(table[name].load(written["fused"], value.shape), value)


def test_layers_are_numbered_in_both_ways():
    assert [numbered("a{i}/b{_i}", i) for i in range(3)] == ["a0/b", "a1/b_1", "a2/b_2"]
    table = expand([Rule("x{i}", ("l.{i}", "m.l.{i}")), Rule("end", "end{_i}")], 2)
    assert table["x1"].names == ("l.1", "m.l.1")
    assert list(table) == ["end", "x0", "x1"]


def test_two_rules_for_one_weight_are_a_mistake():
    with pytest.raises(PresetError, match="two rules"):
        expand([Rule("a", "x"), Rule("a", "y")], 1)


def test_weights_without_a_place_are_named():
    with pytest.raises(PresetError, match="lost"):
        list(stored({}, {"lost": lambda: np.zeros(1)}))
    half = expand([Rule("a", "x", part=(0, 2)), Rule("b", "x", part=(1, 2))], 1)
    with pytest.raises(PresetError, match="all of 2 units"):
        list(stored(half, {"a": lambda: np.zeros(2)}))


def test_parts_of_unequal_size_and_by_groups():
    """Two heads of queries to each of key and value, once after each other, once by groups."""
    query, key = numbers((4, 2, 3)), numbers((2, 2, 3)) + 100
    rows = "hkd -> (hk)d"
    after = [
        Rule("q", "fused", rows, part=weights.Part(0, 4, 6)),
        Rule("k", "fused", rows, part=weights.Part(4, 6, 6)),
    ]
    grouped = [
        Rule("q", "fused", rows, part=weights.Part(0, 2, 3, groups=2)),
        Rule("k", "fused", rows, part=weights.Part(2, 3, 3, groups=2)),
    ]
    expected = {
        "after": np.concatenate([query, key]).reshape(12, 3),
        "grouped": np.concatenate([query[:2], key[:1], query[2:], key[1:]]).reshape(12, 3),
    }
    for name, rules in (("after", after), ("grouped", grouped)):
        table = expand(rules, 1)
        written = dict(stored(table, {"q": lambda: query, "k": lambda: key}))
        np.testing.assert_array_equal(written["fused"], expected[name])
        for ours, value in (("q", query), ("k", key)):
            assert table[ours].file_shape(value.shape) == (12, 3)
            np.testing.assert_array_equal(table[ours].load(written["fused"], value.shape), value)


def test_rows_before_the_first_and_a_tensor_per_expert():
    table = expand([Rule("table", "positions", skip=2), Rule("bank", "expert.{e}", "fd -> df")], 1)
    ours = {"table": numbers((3, 2)), "bank": numbers((2, 3, 4))}
    written = dict(stored(table, {name: (lambda v=value: v) for name, value in ours.items()}))
    assert set(written) == {"positions", "expert.0", "expert.1"}
    np.testing.assert_array_equal(written["positions"][:2], 0)
    np.testing.assert_array_equal(table["table"].load(written["positions"], (3, 2)), ours["table"])
    for expert in range(2):
        rule = table["bank"].of_expert(expert)
        loaded = rule.load(written[f"expert.{expert}"], (3, 4))
        np.testing.assert_array_equal(loaded, ours["bank"][expert])


def tables():
    """Every rule table that does not depend on a model's arguments."""
    for family in families():
        formats = {"keras_hub": family.keras_hub_rules}
        if family.transformers is not None:
            formats["transformers"] = family.transformers.rules
        for name, rules in formats.items():
            if not callable(rules):
                yield pytest.param(rules, id=f"{family.name}-{name}")


@pytest.mark.parametrize("rules", list(tables()))
def test_every_familys_rules_are_sound(rules):
    table = expand(rules, 3)
    claimed = [(name, rule.part) for rule in table.values() for name in rule.names]
    assert len(claimed) == len(set(claimed))
    for rule in table.values():
        assert rule.copy_of is None or rule.copy_of in table
        assert rule.part is None or 0 <= rule.part.start < rule.part.stop <= rule.part.of


def test_outside_a_load_the_default_initializer_stays():
    default = object()
    assert weights.initializer("a", default) is default

    class Loader:
        def initializer(self, name):
            return name

    with weights.loading(Loader()):
        assert weights.initializer("a", default) == "a"
    assert weights.initializer("a", default) is default
