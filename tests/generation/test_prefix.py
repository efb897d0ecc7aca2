"""Reading only what is new: the numbers of a fresh run, whatever the prompt has in common."""

from __future__ import annotations

import gc
import random
import weakref

import jax
import numpy as np
import pytest
from chats import chat_lm
from tiny import FAMILIES

import workbench as wb
from workbench.generation.events import Token
from workbench.generation.prefix import Prefix
from workbench.generation.stream import stream_events
from workbench.samplers import GreedySampler, RandomSampler

LONG = list(np.random.default_rng(3).integers(0, 256, 70))


@pytest.fixture(scope="module")
def lms():
    """A model of each family."""
    return {family: chat_lm(family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def lm(request, lms):
    """Each family's model in turn."""
    return lms[request.param]


def events(lm, ids, prefix=None, new=6, sampler=None, seed=0):
    """The events of a run over ids, without stop tokens."""
    request = lm._request(
        [ids],
        max_length=None,
        max_new_tokens=new,
        stop_token_ids=None,
        sampler=sampler or GreedySampler(),
        seed=seed,
        alternatives=5,
    )
    return stream_events(lm.programs, request, lm.preprocessor.tokenizer, prefix)


def tokens(run):
    return [event for event in run if isinstance(event, Token)]


def assert_equal_runs(made, fresh):
    assert [event.id for event in made] == [event.id for event in fresh]
    for one, other in zip(made, fresh, strict=True):
        ours = [alternative.logprob for alternative in one.alternatives]
        theirs = [alternative.logprob for alternative in other.alternatives]
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def read_before(lm, ids, prefix=None, new=4):
    """A prefix that has read ids and written a few tokens, and all those ids."""
    prefix = prefix or Prefix()
    made = tokens(events(lm, ids, prefix, new))
    return prefix, [*ids, *(event.id for event in made)]


@pytest.mark.parametrize("sizes", [(1, 1), (3, 1), (10, 20), (70, 3), (16, 60), (64, 64)])
def test_a_longer_prompt_goes_on(lm, sizes):
    old, new = sizes
    prefix, ids = read_before(lm, LONG[:old])
    prompt = [*ids, *LONG[:new]]
    made = tokens(events(lm, prompt, prefix))
    assert prefix.reused >= len(ids) - 2
    assert_equal_runs(made, tokens(events(lm, prompt)))


def test_random_edits_equal_fresh_runs(lm):
    draw = random.Random(0)
    prefix, ids = read_before(lm, LONG[:30])
    for _ in range(12):
        cut = draw.randrange(1, len(ids))
        prompt = [*ids[:cut], *draw.choices(range(256), k=draw.randrange(1, 24))][:150]
        made = tokens(events(lm, prompt, prefix))
        assert prefix.reused >= min(cut, len(ids) - 2, len(prompt) - 1)
        assert_equal_runs(made, tokens(events(lm, prompt)))
        ids = [*prompt, *(event.id for event in made)]


def test_the_same_prompt_again_reads_one_token(lm):
    prefix, _ = read_before(lm, LONG)
    *_, done = events(lm, LONG, prefix)
    assert (done.stats.reused_tokens, done.stats.prompt_tokens) == (69, 70)


def test_a_sampler_sees_the_whole_prompt(lms):
    sampler = RandomSampler(temperature=0.8, repetition_penalty=5.0)
    prefix, ids = read_before(lms["llama"], LONG[:40])
    prompt = [*ids, 7, 7, 9]
    settings = {"new": 20, "sampler": sampler, "seed": 11}
    made = tokens(events(lms["llama"], prompt, prefix, **settings))
    assert_equal_runs(made, tokens(events(lms["llama"], prompt, **settings)))


def test_a_run_stopped_anywhere_leaves_a_prefix_that_fits(lm):
    for count in range(4):
        prefix = Prefix()
        run = events(lm, LONG[:20], prefix, new=8)
        seen = 0
        while seen < count:
            seen += isinstance(next(run), Token)
        if count == 0:
            next(run)
        run.close()
        prompt = [*LONG[:20], *LONG[:9]]
        assert_equal_runs(tokens(events(lm, prompt, prefix)), tokens(events(lm, prompt)))
        assert prefix.reused >= (18 if count else 0)


def test_a_run_that_ends_with_a_stop_token_leaves_a_prefix_that_fits(lm):
    free = [event.id for event in tokens(events(lm, LONG[:20]))]
    prefix = Prefix()
    request = lm._request(
        [LONG[:20]],
        max_length=None,
        max_new_tokens=9,
        stop_token_ids=[free[2]],
        sampler=GreedySampler(),
        seed=0,
        alternatives=5,
    )
    made = tokens(stream_events(lm.programs, request, lm.preprocessor.tokenizer, prefix))
    prompt = [*LONG[:20], *(event.id for event in made), 5, 6]
    assert_equal_runs(tokens(events(lm, prompt, prefix)), tokens(events(lm, prompt)))
    assert prefix.reused >= 20 + len(made) - 2


def test_another_beginning_is_read_anew(lms):
    prefix, ids = read_before(lms["llama"], LONG[:20])
    prompt = [(ids[0] + 1) % 256, *ids[1:]]
    made = tokens(events(lms["llama"], prompt, prefix))
    assert prefix.reused == 0
    assert_equal_runs(made, tokens(events(lms["llama"], prompt)))


def test_changed_weights_are_noticed():
    lm = chat_lm("llama")
    prefix, ids = read_before(lm, LONG[:20])
    kernel = lm.backbone.blocks[0].attention.key.kernel
    kernel.assign(np.asarray(kernel) * 1.5)
    made = tokens(events(lm, [*ids, 3], prefix))
    assert prefix.reused == 0
    assert_equal_runs(made, tokens(events(lm, [*ids, 3])))


def test_another_model_is_noticed(lms):
    prefix, ids = read_before(lms["llama"], LONG[:20])
    other = chat_lm("llama")
    made = tokens(events(other, [*ids, 3], prefix))
    assert prefix.reused == 0
    assert_equal_runs(made, tokens(events(other, [*ids, 3])))


def test_longrope_is_read_anew_where_its_factors_change():
    lm = chat_lm("llama")
    backbone = wb.models.Phi3Backbone(
        vocabulary_size=257,
        num_layers=2,
        hidden_dim=32,
        intermediate_dim=48,
        num_query_heads=4,
        num_key_value_heads=2,
        max_sequence_length=256,
        pretraining_sequence_length=40,
        rope_scaling_type="su",
        rope_scaling_short_factor=[1.0, 1.1, 1.2, 1.3],
        rope_scaling_long_factor=[2.0, 3.0, 4.0, 5.0],
    )
    lm = type(lm)(backbone, lm.preprocessor)
    prefix, ids = read_before(lm, LONG[:10])
    for size, reuses in ((5, True), (20, False), (9, True)):
        prompt = [*ids, *LONG[:size]]
        made = tokens(events(lm, prompt, prefix))
        assert (prefix.reused > 0) == reuses
        assert_equal_runs(made, tokens(events(lm, prompt)))
        ids = [*prompt, *(event.id for event in made)]


def test_its_memory_goes_with_it(lms):
    def live():
        gc.collect()
        return sum(array.nbytes for array in jax.live_arrays())

    lm = lms["llama"]
    list(events(lm, LONG))
    before = live()
    prefix, _ = read_before(lm, LONG)
    held = live() - before
    assert held >= 2 * 2 * 128 * 2 * 8 * 4  # layers, keys and values, slots, heads, width, bytes
    prefix.clear()
    assert live() == before
    prefix, _ = read_before(lm, LONG)
    del prefix
    assert live() == before


def test_weights_are_not_kept_alive():
    lm = chat_lm("llama")
    prefix, _ = read_before(lm, LONG[:20])
    kernel = lm.backbone.blocks[0].attention.key.kernel
    old = weakref.ref(kernel.value)
    kernel.assign(np.asarray(kernel) * 2)
    gc.collect()
    assert old() is None and prefix is not None


def test_going_on_compiles_once_for_a_bucket(lms):
    lm = lms["llama"]
    prefix, ids = read_before(lm, LONG[:20])
    list(events(lm, [*ids, 1, 2, 3], prefix, new=20))
    sizes = lm.programs.resume._cache_size(), lm.programs.step._cache_size()
    for extra in ([4], [5] * 5, [6] * 9):
        _, ids = read_before(lm, ids[:30], prefix)
        list(events(lm, [*ids, *extra], prefix, new=5))
    assert (lm.programs.resume._cache_size(), lm.programs.step._cache_size()) == sizes
