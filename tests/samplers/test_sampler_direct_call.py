"""KerasHub's protocol `sampler(next, prompt, ...)`, with a model that spells."""

import alphabet
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from alphabet import LETTERS, ids, words

from workbench.errors import SettingError
from workbench.samplers import (
    BeamSampler,
    ContrastiveSampler,
    GreedySampler,
    RandomSampler,
    Sampler,
    TopKSampler,
    TopPSampler,
)

BLANK = ids("z" * 12)
HIDDEN = np.ones((1, 12, 3), "float32")
STOP = [LETTERS.index("t")]


class Argmax(Sampler):
    def get_next_token(self, probabilities):
        return keras.ops.argmax(probabilities, axis=-1)


# Greedy, random and top-k sampling run the program of top-p.
ALL = [TopPSampler(), BeamSampler(), ContrastiveSampler(alpha=0.2), Argmax()]
each = pytest.mark.parametrize("sampler", ALL, ids=repr)


@each
def test_without_a_cache_the_prompt_is_kept(sampler):
    out = sampler(next=alphabet.always_a, prompt=BLANK, index=5, hidden_states=HIDDEN)
    assert words(out) == ["zzzzzaaaaaaa"]


@each
def test_it_spells_what_the_cache_holds_until_a_stop_token(sampler):
    out = sampler(
        next=alphabet.spell,
        prompt=BLANK,
        cache=ids("sequentially"),
        stop_token_ids=STOP,
        hidden_states=HIDDEN,
    )
    assert words(out) == ["sequentzzzzz"]


@each
def test_the_mask_protects_longer_prompts_and_their_stop_tokens(sampler):
    prompt = ids("tozzzz", "totozz")
    mask = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0]], bool)
    out = sampler(
        next=alphabet.spell,
        prompt=prompt,
        cache=ids("xxcats", "xxxxty"),
        index=2,
        mask=mask,
        stop_token_ids=STOP,
        hidden_states=np.ones((2, 6, 3), "float32"),
    )
    assert words(out) == ["tocatz", "tototz"]


def test_inside_jit():
    sampler = TopPSampler(p=0.1)

    @jax.jit
    def run(prompt, cache, index):
        return sampler(alphabet.spell, prompt, cache, index, hidden_states=HIDDEN)

    assert words(run(BLANK, ids("sequentially"), 3)) == ["zzzuentially"]


def test_it_draws_from_the_kept_letters_only():
    out = TopKSampler(k=5, temperature=2.0)(alphabet.falling, ids("z" * 40), index=5)
    assert set(words(out[:, 5:])[0]) <= set("abcde")
    out = ContrastiveSampler(k=5)(alphabet.falling, BLANK, index=1, hidden_states=HIDDEN)
    assert set(words(out[:, 1:])[0]) <= set("abcde")


def test_a_seed_repeats_rows_differ_and_no_seed_is_always_new():
    sampler = RandomSampler(seed=4, temperature=9.0)
    first = words(sampler(alphabet.falling, ids("z" * 40, "z" * 40)))
    assert words(sampler(alphabet.falling, ids("z" * 40, "z" * 40))) == first
    sampler.seed = None
    later = words(sampler(alphabet.falling, ids("z" * 40, "z" * 40)))
    assert len({*first, *later}) == 4


def test_penalties_see_what_was_written():
    sampler = GreedySampler(presence_penalty=100.0)
    assert words(sampler(alphabet.falling, BLANK, index=2)) == ["zzabcdefghij"]
    sampler = GreedySampler(repetition_penalty=100.0)
    assert words(sampler(alphabet.falling, ids("abzzzz"), index=2)) == ["abcdef"]


def test_numbers_in_the_prompt_keep_their_type():
    out = GreedySampler()(alphabet.always_a, keras.ops.full((1, 4), 25.0), index=2)
    assert out.dtype == "float32" and words(out) == ["zzaa"]


def test_more_candidates_than_letters_is_an_error():
    for sampler in (TopKSampler(k=27), TopPSampler(k=27), BeamSampler(27), ContrastiveSampler(27)):
        with pytest.raises(SettingError, match=r"at most 26.*got 27"):
            sampler(alphabet.always_a, BLANK, hidden_states=HIDDEN)
        with pytest.raises(SettingError, match="at most 26"):
            sampler.check_vocabulary(26)
        sampler.check_vocabulary(27)


def test_contrastive_search_needs_hidden_states():
    with pytest.raises(SettingError, match="hidden_states"):
        ContrastiveSampler()(alphabet.always_a, BLANK)


def test_a_prompt_of_the_wrong_shape_is_an_error():
    with pytest.raises(SettingError, match="shape"):
        GreedySampler()(alphabet.always_a, BLANK[0])


def test_all_beams_come_best_first():
    prompts, scores = BeamSampler(5, return_all_beams=True)(alphabet.falling, BLANK, index=10)
    assert prompts.shape == (1, 5, 12) and scores.shape == (1, 5)
    ends = [word[10:] for word in words(prompts[0])]
    assert ends[0] == "aa" and set(ends[1:3]) == {"ab", "ba"} and len(set(ends)) == 5
    assert np.all(np.diff(scores[0]) <= 0)


def test_contrastive_search_turns_from_what_it_said():
    """The likeliest letter points where the prompt points; with alpha 1 only that counts."""

    def next(prompt, cache, index):
        logits, _ = alphabet.sure(jnp.full(len(prompt), 7))
        like = (prompt[:, index - 1] == 7)[:, None]
        other = jax.random.normal(jax.random.fold_in(jax.random.key(0), index), (len(prompt), 3))
        return logits, jnp.where(like, jnp.ones(3), other), cache

    kind = ContrastiveSampler(k=5, alpha=0.2)
    assert words(kind(next, BLANK, index=5, hidden_states=HIDDEN)) == ["zzzzzhhhhhhh"]
    kind.alpha = 1.0
    assert "h" not in words(kind(next, BLANK, index=5, hidden_states=HIDDEN))[0]
