"""Arguments of constructors are of the types they are annotated with: a flag is no number, no
string and no list, and nothing is built of what is wrong."""

from __future__ import annotations

import inspect
import math
import typing

import numpy as np
import pytest

from workbench.audio import AudioConverter
from workbench.backbones.adapter import AdapterConfig
from workbench.errors import SettingError
from workbench.families.gemma import GemmaBackbone
from workbench.families.parseq import ViTBackbone
from workbench.families.registry import families
from workbench.kinds import NUMBER, POSITIVE, integer, of_annotation, one_of

WRONG = {
    bool: ("false", "true", 0, 1, 1.0, [1], {}, None),
    int: (True, False, 1.0, "1", [1], {}),
    float: (True, "1", [1.0], {}, math.nan, math.inf, -math.inf, 10**400),
    str: (True, 1, ["a"], {}),
}


def typed_classes():
    """Backbones, preprocessors, tokenizers and converters of all families, once each."""
    found = {}
    for family in families():
        for cls in (family.backbone, family.preprocessor, family.tokenizer):
            found[cls.__name__] = cls
    return [*found.values(), ViTBackbone, AudioConverter]


def typed_arguments(cls):
    """Plain arguments of a constructor: name to type, None aside."""
    init = next(vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base))
    for name, hint in typing.get_type_hints(inspect.unwrap(init)).items():
        kinds = set(typing.get_args(hint) or (hint,)) - {type(None)}
        if len(kinds) == 1 and kinds <= WRONG.keys() and name != "return":
            yield name, kinds.pop(), type(None) in typing.get_args(hint)


def required(cls):
    """Something for each argument without a default; it is never used."""
    parameters = inspect.signature(cls).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return {p.name: 1 for p in named if p.default is p.empty}


@pytest.mark.parametrize("cls", typed_classes(), ids=lambda cls: cls.__name__)
def test_no_constructor_takes_a_value_of_another_type(cls):
    for name, kind, optional in typed_arguments(cls):
        for wrong in WRONG[kind]:
            if wrong is None and optional:
                continue
            given = {**required(cls), name: wrong}
            with pytest.raises(SettingError, match=r": expected .*, got") as caught:
                cls(**given)
            assert len(str(caught.value)) < 300


def test_the_argument_is_named():
    with pytest.raises(
        SettingError, match="GemmaBackbone: query_head_dim_normalize: expected true"
    ):
        GemmaBackbone(256, 1, 2, 1, 8, 16, 4, query_head_dim_normalize="false")


def test_scalars_of_numpy_become_plain():
    given = {"sampling_rate": np.int64(8_000), "padding_value": np.float32(0.5)}
    made = AudioConverter(**given, do_normalize=np.True_)
    kept = made.sampling_rate, made.padding_value, made.do_normalize
    assert kept == (8_000, 0.5, True) and [*map(type, kept)] == [int, float, bool]
    adapter = AdapterConfig(np.int64(4), np.float32(8), np.float64(0.5))
    assert [*map(type, (adapter.rank, adapter.alpha, adapter.dropout))] == [int, float, float]
    for number in (np.True_, np.float32("nan"), np.array(1)):
        assert not NUMBER.fits(number) and not integer(0).fits(number)


def test_kinds_of_annotations():
    assert of_annotation(float | None).fits(None)
    assert of_annotation(list[float] | None).fits([1, 2.5])
    assert not of_annotation(list[float] | None).fits([1, True])
    assert not of_annotation(list[str]).fits("abc")
    assert of_annotation(typing.Sequence[int]).fits((1, 2))


def test_numbers_are_finite_and_no_flags():
    assert NUMBER.fits(-0.0) and not POSITIVE.fits(-0.0)
    assert not any(NUMBER.fits(value) for value in (True, math.nan, math.inf, "1", None))
    assert not any(integer(0, 1).fits(value) for value in (True, False, 1.0, 2, -1))
    assert not one_of(1).fits(True) and not one_of(False).fits(0)


def test_a_large_value_is_shown_in_short():
    with pytest.raises(SettingError) as caught:
        GemmaBackbone("x" * 10**6, *[1] * 6)
    assert len(str(caught.value)) < 200
