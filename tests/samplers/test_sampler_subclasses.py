"""Samplers of one's own, written as for KerasHub, inside one compiled step."""

from functools import partial

import jax
import keras
import numpy as np
import pytest
from keras import ops

from workbench.errors import SettingError
from workbench.samplers import GreedySampler, History, Sampler, TopKSampler

V = 12


def compiled(sampler):
    """The engine's view: a jitted step that knows the sampler only by its program."""

    @jax.jit
    def step(logits, settings, seeds, number, history):
        step.traces += 1
        return sampler.choose(logits, settings, seeds, number, history)

    step.traces = 0
    return step


def run(step, sampler, logits, seeds=(0,), number=0, history=None):
    logits = np.broadcast_to(np.asarray(logits, "float32"), (len(seeds), V))
    if history is None:
        history = History(np.zeros(logits.shape, bool), np.zeros(logits.shape, "int32"))
    seeds = np.asarray(seeds, "uint32")
    return list(map(int, step(logits, sampler.settings(), seeds, np.int32(number), history)))


class Forbidding(Sampler):
    """Greedy, with some tokens forbidden: the example of KerasHub's documentation in our words."""

    def __init__(self, forbidden, **kwargs):
        super().__init__(**kwargs)
        self.forbidden = forbidden

    def get_next_token(self, probabilities):
        batch, size = ops.shape(probabilities)
        assert size == V
        for token in self.forbidden:
            nothing = ops.zeros((batch, 1))
            probabilities = ops.slice_update(probabilities, (0, token), nothing)
        return ops.argmax(probabilities, axis=-1)


class Drawing(Sampler):
    """The usual KerasHub sampler with a generator of its own."""

    def __init__(self, temperature=1.0, seed=None):
        super().__init__(temperature=temperature)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def get_next_token(self, probabilities):
        token = keras.random.categorical(ops.log(probabilities), 1, seed=self.seed_generator)
        return ops.squeeze(token, axis=-1)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


class Inherited(Sampler):
    """Uses the generator the base class offers."""

    def get_next_token(self, probabilities):
        return keras.random.categorical(ops.log(probabilities), 1, seed=self.seed_generator)[:, 0]


def test_forbidden_tokens_are_not_taken():
    sampler = Forbidding([V - 1, V - 2])
    step = compiled(sampler)
    assert run(step, sampler, np.arange(V), seeds=(0, 1)) == [V - 3, V - 3]


def test_setting_an_attribute_changes_the_program_and_a_setting_does_not():
    sampler = Forbidding([1])
    before = sampler.program
    assert before == sampler.program != Forbidding([1]).program
    sampler.temperature, sampler.repetition_penalty, sampler.seed = 0.5, 1.1, 3
    assert sampler.program == before
    sampler.forbidden = [2]
    assert sampler.program != before
    assert run(compiled(sampler), sampler, [0, 0, 3, 2] + [0] * (V - 4)) == [3]


def test_attributes_set_while_tracing_keep_the_program():
    class Counting(Sampler):
        calls = 0

        def get_next_token(self, probabilities):
            self.calls += 1
            return ops.argmax(probabilities, axis=-1)

    sampler = Counting()
    before = sampler.program
    run(compiled(sampler), sampler, np.arange(V))
    assert sampler.calls == 1 and sampler.program == before


@pytest.mark.parametrize("make", [Drawing, Inherited])
def test_draws_are_fresh_every_step_and_follow_the_seed(make):
    sampler = make()
    step = compiled(sampler)
    go = partial(run, step, sampler, np.zeros(V))
    assert len({go(number=n)[0] for n in range(40)}) > 6
    assert go(range(9), 5) == go(range(9), 5) != go(range(9), 6)
    assert step.traces == 2  # two batch sizes


@pytest.mark.parametrize("make", [Drawing, Inherited])
def test_nothing_traced_outlives_the_step(make):
    sampler = make()
    step = compiled(sampler)
    with jax.checking_leaks():
        run(step, sampler, np.zeros(V))
    state = np.asarray(sampler.seed_generator.state)
    run(step, sampler, np.zeros(V), number=1)
    assert np.array_equal(sampler.seed_generator.state, state)
    assert 0 <= int(sampler.get_next_token(np.full((1, V), 1 / V, "float32"))[0]) < V


def test_two_draws_in_one_step_differ():
    class Twice(Sampler):
        def __init__(self):
            super().__init__()
            self.one = keras.random.SeedGenerator(1)
            self.other = keras.random.SeedGenerator(1)

        def get_next_token(self, probabilities):
            pick = partial(keras.random.randint, (1,), 0, 10)
            a, b, c = pick(seed=self.one), pick(seed=self.one), pick(seed=self.other)
            return a + 10 * b + 100 * c

    sampler = Twice()
    tokens = run(compiled(sampler), sampler, np.zeros(V), seeds=range(50))
    digits = np.array([[t % 10, t // 10 % 10, t // 100] for t in tokens])
    for pair in ((0, 1), (0, 2), (1, 2)):
        assert 0 < np.mean(digits[:, pair[0]] == digits[:, pair[1]]) < 0.4


def test_rows_do_not_see_each_other():
    sampler = Drawing()
    step = compiled(sampler)
    together = run(step, sampler, np.zeros(V), seeds=(5, 6, 7), number=2)
    assert together == [run(step, sampler, np.zeros(V), seeds=(s,), number=2)[0] for s in (5, 6, 7)]


def test_draws_follow_the_probabilities_and_the_temperature():
    logits = np.log(np.array([0.6, 0.3, 0.1] + [1e-9] * (V - 3)))
    sampler = Drawing(temperature=2.0)
    step = compiled(sampler)
    found = np.bincount(run(step, sampler, logits, seeds=range(2000)), minlength=V) / 2000
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    np.testing.assert_allclose(found, expected, atol=0.04)
    sampler.temperature = 0
    assert set(run(step, sampler, logits, seeds=range(2000))) == {0}
    assert step.traces == 1


def test_penalties_come_before_the_subclass():
    sampler = Forbidding([], presence_penalty=5.0)
    said = History(np.zeros((1, V), bool), np.eye(1, V, V - 1, dtype="int32"))
    step = compiled(sampler)
    assert run(step, sampler, np.arange(V)) == [V - 1]
    assert run(step, sampler, np.arange(V), history=said) == [V - 2]


def test_a_built_in_kind_may_be_extended():
    class Even(TopKSampler):
        def get_next_token(self, probabilities):
            return super().get_next_token(ops.where(np.arange(V) % 2 == 0, probabilities, 0.0))

    sampler = Even(k=2)
    assert sampler.program != TopKSampler().program
    assert set(run(compiled(sampler), sampler, np.arange(V), range(60))) == {8, 10}
    before = sampler.program
    sampler.k = 3
    assert sampler.program != before


def test_built_in_kinds_can_be_asked_directly():
    probabilities = np.tile(np.float32([0.1, 0.6, 0.3]), (50, 1))
    assert set(map(int, TopKSampler(k=2, seed=1).get_next_token(probabilities))) == {1, 2}
    assert set(map(int, GreedySampler().get_next_token(probabilities))) == {1}


def test_the_seed_of_an_own_generator_counts():
    assert Drawing(seed=7).initial_seed == 7
    assert Drawing().initial_seed is None
    assert Inherited(seed=3).initial_seed == 3


def test_configs_of_kerashub_subclasses_go_round():
    sampler = Drawing.from_config(Drawing(temperature=0.3, seed=4).get_config())
    assert (sampler.temperature, sampler.seed) == (0.3, 4)


def test_help_and_repr_show_what_kwargs_pass_on():
    assert repr(Forbidding([3], temperature=0.5)) == "Forbidding(forbidden=[3], temperature=0.5)"


def test_wrong_results_are_named():
    class Scalar(Sampler):
        def get_next_token(self, probabilities):
            return ops.argmax(probabilities)

    for sampler, message in ((Scalar(), "one token id per row"), (Sampler(), "override it")):
        with pytest.raises(SettingError, match=message):
            run(compiled(sampler), sampler, np.zeros(V))
