"""What samplers hold: values checked whenever they are set, shown as the call that makes them."""

import inspect

import numpy as np
import pytest

from workbench.errors import SettingError, WorkbenchError
from workbench.samplers import (
    BeamSampler,
    ContrastiveSampler,
    GreedySampler,
    RandomSampler,
    Sampler,
    StepSettings,
    TopKSampler,
    TopPSampler,
)

NAN, INF = float("nan"), float("inf")
NOT_NUMBERS = ["1", True, None, [1.0], NAN, 1j]

BAD = {
    "temperature": [*NOT_NUMBERS, -1, -1e-9, INF, 1e39],
    "repetition_penalty": [*NOT_NUMBERS, 0, -1.0, INF],
    "presence_penalty": [*NOT_NUMBERS, INF, -INF],
    "frequency_penalty": [*NOT_NUMBERS, INF],
    "min_p": [*NOT_NUMBERS, -0.1, 1, 1.0, 2],
    "seed": ["1", True, 1.0, NAN, -1, 2**32, 10**5000],
}
BAD_K = ["5", True, 2.0, NAN, 0, -1, 2**31, 10**5000]
CASES = [
    *((TopKSampler, name, value) for name, values in BAD.items() for value in values),
    *(
        (kind, "k", value)
        for kind in (TopKSampler, TopPSampler, ContrastiveSampler)
        for value in BAD_K
    ),
    *((kind, "k", None) for kind in (TopKSampler, ContrastiveSampler)),
    *((TopPSampler, "p", value) for value in [*NOT_NUMBERS, 0, -0.5, 1.01, 2]),
    *((BeamSampler, "num_beams", value) for value in [*BAD_K, None]),
    *((BeamSampler, "return_all_beams", value) for value in [0, 1, None, "yes"]),
    *((ContrastiveSampler, "alpha", value) for value in [*NOT_NUMBERS, -0.1, 1.1]),
    *((kind, "temperature", 0) for kind in (BeamSampler, ContrastiveSampler)),
]


def short(value):
    return "huge" if isinstance(value, int) and value > 2**40 else repr(value)[:20]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    CASES,
    ids=short,
)
def test_bad_values_are_refused_and_leave_the_old_one(kind, name, value):
    with pytest.raises(SettingError, match=f"^{kind.__name__}: {name}: expected .*, got") as caught:
        kind(**{name: value})
    assert isinstance(caught.value, WorkbenchError) and len(str(caught.value)) < 300
    sampler = kind()
    before = repr(sampler)
    with pytest.raises(SettingError):
        setattr(sampler, name, value)
    assert repr(sampler) == before


@pytest.mark.parametrize("value", [0, 1, 0.25, np.float32(0.25), np.int64(2)])
def test_numbers_of_all_kinds_are_taken(value):
    assert TopKSampler(temperature=value).temperature == float(value)


def test_settings_that_a_kind_has_not_are_refused():
    for sampler, name in ((TopKSampler(), "temprature"), (BeamSampler(), "seed")):
        with pytest.raises(SettingError, match=f"has no setting '{name}'; it has .*temperature"):
            setattr(sampler, name, 1)
    with pytest.raises(TypeError):
        BeamSampler(min_p=0.1)


def test_settings_are_typed_scalars():
    common = {"min_p": 0.1, "repetition_penalty": 1.2, "presence_penalty": 0.3}
    settings = TopPSampler(p=0.9, k=4, temperature=0.5, frequency_penalty=0.4, **common).settings()
    assert [value.dtype for value in settings] == [value.dtype for value in StepSettings()]
    np.testing.assert_allclose(settings, [0.5, 4, 0.9, 0.1, 1.2, 0.3, 0.4], rtol=1e-6)


def test_defaults_are_those_of_kerashub():
    assert (TopKSampler().k, TopKSampler().seed) == (5, None)
    assert (TopPSampler().p, TopPSampler().k, TopPSampler().seed) == (0.1, None, None)
    assert (BeamSampler().num_beams, BeamSampler().return_all_beams) == (5, False)
    assert (ContrastiveSampler().k, ContrastiveSampler().alpha) == (5, 0.6)
    assert TopKSampler(3, 7).seed == RandomSampler(7).seed == TopPSampler(0.5, 2, 7).seed == 7
    for kind in (GreedySampler, RandomSampler, TopKSampler, TopPSampler, BeamSampler):
        assert kind().temperature == kind(temperature=1).temperature == 1.0


def test_off_and_greedy():
    assert RandomSampler().settings() == StepSettings()
    assert TopKSampler().settings() == StepSettings(top_k=5)
    assert GreedySampler(temperature=0.7).settings().temperature == 0
    assert RandomSampler(temperature=0).settings().temperature == 0


def test_in_place_changes_reach_the_next_settings():
    sampler = TopPSampler()
    sampler.temperature, sampler.p, sampler.k, sampler.min_p = 0.5, 0.9, 3, 0.25
    assert sampler.settings() == StepSettings(
        np.float32(0.5), np.int32(3), np.float32(0.9), np.float32(0.25)
    )


def test_built_in_kinds_share_a_program():
    kinds = (GreedySampler(), RandomSampler(), TopKSampler(), TopPSampler(p=0.5, min_p=0.1))
    assert len({sampler.program for sampler in kinds}) == 1
    assert (
        BeamSampler(3).program == BeamSampler(3, temperature=2.0).program != BeamSampler(4).program
    )
    assert ContrastiveSampler(3).program != BeamSampler(3).program


def test_only_an_own_call_owns_the_loop():
    class Own(Sampler):
        def __call__(self, next, prompt, **kwargs):
            return prompt

    assert Own().owns_loop
    assert not BeamSampler().owns_loop and not TopKSampler().owns_loop


@pytest.mark.parametrize(
    "sampler",
    [
        GreedySampler(),
        RandomSampler(seed=3),
        TopKSampler(k=40, temperature=0.8),
        TopPSampler(p=0.92, temperature=0.8),
        TopPSampler(p=0.9, k=50, seed=1, min_p=0.05, repetition_penalty=1.1),
        BeamSampler(num_beams=3, return_all_beams=True),
        ContrastiveSampler(alpha=0.5),
    ],
    ids=repr,
)
def test_repr_is_the_call(sampler):
    again = eval(repr(sampler))
    assert vars(again) | {"_program": 0} == vars(sampler) | {"_program": 0}


def test_repr_leaves_defaults_out():
    assert repr(TopPSampler(p=0.92, temperature=0.8)) == "TopPSampler(p=0.92, temperature=0.8)"
    assert repr(TopKSampler(k=5, temperature=1)) == "TopKSampler()"


def test_help_shows_every_argument():
    names = list(inspect.signature(TopPSampler).parameters)
    assert names[:3] == ["p", "k", "seed"]
    assert {"temperature", "min_p", "repetition_penalty", "frequency_penalty"} < set(names)
