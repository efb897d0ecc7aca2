"""Samplers by name, config and call."""

import keras
import pytest

from workbench.errors import SettingError
from workbench.samplers import (
    BeamSampler,
    ContrastiveSampler,
    GreedySampler,
    RandomSampler,
    Sampler,
    TopKSampler,
    TopPSampler,
    deserialize,
    get,
    serialize,
)

KINDS = {
    "beam": BeamSampler,
    "contrastive": ContrastiveSampler,
    "greedy": GreedySampler,
    "random": RandomSampler,
    "top_k": TopKSampler,
    "top_p": TopPSampler,
}


class Own(Sampler):
    def __init__(self, step, temperature=1.0):
        super().__init__(temperature=temperature)
        self.step = step

    def get_config(self):
        return {**super().get_config(), "step": self.step}


@keras.saving.register_keras_serializable("mine")
class Registered(Own):
    pass


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_names(name, kind):
    for spelling in (name, name.upper(), kind.__name__, f"keras_hub>{kind.__name__}"):
        assert type(get(spelling)) is kind
    assert type(get(kind)) is kind


def test_an_instance_is_itself():
    sampler = TopKSampler(k=3)
    assert get(sampler) is sampler


@pytest.mark.parametrize(
    "sampler",
    [
        GreedySampler(presence_penalty=0.5),
        RandomSampler(temperature=0.5, seed=3),
        TopKSampler(k=7, min_p=0.1),
        TopPSampler(p=0.3, k=9, seed=1, repetition_penalty=1.3, frequency_penalty=0.2),
        BeamSampler(num_beams=2, return_all_beams=True, temperature=0.4),
        ContrastiveSampler(k=2, alpha=0.1),
    ],
    ids=repr,
)
def test_configs_go_round(sampler):
    config = serialize(sampler)
    assert config["registered_name"] == f"keras_hub>{type(sampler).__name__}"
    for again in (
        get(config),
        deserialize(config),
        type(sampler).from_config(sampler.get_config()),
    ):
        assert type(again) is type(sampler) and repr(again) == repr(sampler)


def test_kerashub_config_forms():
    assert repr(get({"class_name": "top_p", "config": {"p": 0.5}})) == "TopPSampler(p=0.5)"
    old = {"class_name": "keras_nlp>TopKSampler", "config": {"temperature": 1.0, "k": 3}}
    assert repr(get(old)) == "TopKSampler(k=3)"
    assert TopKSampler().get_config() == {"temperature": 1.0, "k": 5, "seed": None}


def test_own_classes():
    config = serialize(Own(3, temperature=0.5))
    with pytest.raises(SettingError, match="got 'Own'"):
        get(config)
    again = deserialize(config, custom_objects={"Own": Own})
    assert (again.step, again.temperature) == (3, 0.5)
    registered = get(serialize(Registered(4)))
    assert type(registered) is Registered and registered.step == 4


def test_a_callable_runs_the_loop_itself():
    seen = {}

    def backwards(next, prompt, **kwargs):
        seen.update(kwargs)
        return prompt[::-1]

    sampler = get(backwards)
    assert isinstance(sampler, Sampler) and sampler.owns_loop
    assert sampler(next=None, prompt=[1, 2], index=4) == [2, 1] and seen == {"index": 4}
    assert sampler.program == sampler.program != get(backwards).program
    with pytest.raises(SettingError, match="serialize"):
        serialize(sampler)


@pytest.mark.parametrize(
    "identifier",
    [
        "best",
        "",
        None,
        3,
        {},
        {"class_name": 3},
        {"class_name": "top_k", "config": 3},
        {"class_name": "top_k", "config": {"q": 3}},
        {"class_name": "top_k", "config": {"k": -3}},
        {"class_name": "top_k", "confg": {}},
        {"class_name": "os>system", "module": "os", "config": {}},
        {"class_name": "Dense", "config": {"units": 1}, "registered_name": "Dense"},
        Own,
    ],
)
def test_what_is_no_sampler_is_a_named_error(identifier):
    with pytest.raises(SettingError):
        get(identifier)


def test_unknown_names_list_the_choices():
    with pytest.raises(SettingError, match="beam, contrastive, greedy, random, top_k, top_p"):
        get("topk")
    with pytest.raises(SettingError, match="speculative decoding is not built"):
        get("speculative")
