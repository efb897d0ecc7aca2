"""Beam and contrastive search through `generate()`, against slow versions without a cache."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from tiny import whole, whole_logits

from workbench.errors import SettingError
from workbench.samplers import BeamSampler, ContrastiveSampler, Sampler

PROMPTS = ["Hi", "The quick brown fox"]


def completions(lm, prompts, sampler, count, **settings):
    ids = [lm.preprocessor.prompt_ids(prompt) for prompt in prompts]
    width = max(map(len, ids)) + count
    arrays = {
        "token_ids": np.array([row + [0] * (width - len(row)) for row in ids]),
        "padding_mask": np.array([[1] * len(row) + [0] * (width - len(row)) for row in ids]),
    }
    settings = {"stop_token_ids": None, "max_new_tokens": count, **settings}
    out = lm.generate(arrays, sampler=sampler, strip_prompt=True, **settings)
    return [
        row[keep].tolist() for row, keep in zip(out["token_ids"], out["padding_mask"], strict=True)
    ]


def slow_beams(lm, prompt, beams, count):
    """Every beam's whole sequence again for every token."""
    start = lm.preprocessor.prompt_ids(prompt)
    kept = [(0.0, [])]
    for _ in range(count):
        grown = []
        for score, ids in kept:
            logprobs = np.asarray(
                jax.nn.log_softmax(whole_logits(lm.backbone, [start + ids])[0, -1])
            )
            grown += [(score + value, [*ids, token]) for token, value in enumerate(logprobs)]
        kept = sorted(grown, key=lambda pair: -pair[0])[:beams]
    return kept[0][1]


def slow_contrastive(lm, prompt, k, alpha, count):
    ids = lm.preprocessor.prompt_ids(prompt)
    forward = whole(lm.backbone)

    def states(ids):
        padded = np.pad(np.array([ids], np.int32), ((0, 0), (0, 64 - len(ids))))
        hidden = np.asarray(forward(padded, np.array([len(ids)])))[0, : len(ids)]
        return hidden / np.linalg.norm(hidden, axis=-1, keepdims=True)

    made = []
    for _ in range(count):
        probabilities = np.asarray(jax.nn.softmax(whole_logits(lm.backbone, [ids])[0, -1]))
        before = states(ids)
        scores = {}
        for token in np.argsort(-probabilities)[:k]:
            similarity = (before @ states([*ids, token])[-1]).max()
            scores[token] = (1 - alpha) * probabilities[token] - alpha * similarity
        best = int(max(scores, key=scores.get))
        made.append(best)
        ids = [*ids, best]
    return made


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_beams_equal_the_search_without_a_cache(tiny_lms, family):
    lm = tiny_lms[family]
    made = completions(lm, PROMPTS, BeamSampler(num_beams=3), 5)
    assert made == [slow_beams(lm, prompt, 3, 5) for prompt in PROMPTS]


def test_one_beam_is_greedy(tiny_lms):
    lm = tiny_lms["gpt2"]
    greedy = completions(lm, PROMPTS, "greedy", 8)
    assert completions(lm, PROMPTS, BeamSampler(num_beams=1), 8) == greedy


def test_contrastive_search_equals_the_search_without_a_cache(tiny_lms):
    lm = tiny_lms["llama"]
    made = completions(lm, PROMPTS, ContrastiveSampler(k=4, alpha=0.6), 6)
    assert made == [slow_contrastive(lm, prompt, 4, 0.6, 6) for prompt in PROMPTS]


def test_contrastive_search_without_contrast_is_greedy(tiny_lms):
    lm = tiny_lms["gemma2"]
    greedy = completions(lm, PROMPTS, "greedy", 8)
    assert completions(lm, PROMPTS, ContrastiveSampler(k=4, alpha=0.0), 8) == greedy


@pytest.mark.parametrize("sampler", [BeamSampler(num_beams=2), ContrastiveSampler(k=3)])
def test_a_stop_token_ends_a_search(tiny_lms, sampler):
    lm = tiny_lms["llama"]
    free = completions(lm, PROMPTS[:1], sampler, 8)[0]
    ended = completions(lm, PROMPTS[:1], sampler, 8, stop_token_ids=(free[2],))[0]
    assert ended[-1] == free[2] or len(ended) == 8
    assert ended.count(free[2]) <= 1


@pytest.mark.parametrize("sampler", ["beam", "contrastive"])
def test_searches_return_text_and_refuse_to_stream(tiny_lms, sampler):
    lm = tiny_lms["llama"]
    assert lm.generate("Hi", sampler=sampler, max_new_tokens=4).startswith("Hi")
    with pytest.raises(SettingError, match="generate"):
        lm.stream("Hi", sampler=sampler)


class Second(Sampler):
    """Always the second likeliest token, as a subclass written for KerasHub would say it."""

    def get_next_token(self, probabilities):
        return jax.lax.top_k(probabilities, 2)[1][..., 1]


class OwnLoop(Sampler):
    """A sampler that runs the loop itself, greedily."""

    def __call__(self, next, prompt, cache=None, index=0, mask=None, **_):
        for column in range(index, prompt.shape[1]):
            logits, _, cache = next(prompt, cache, column)
            token = jax.numpy.where(mask[:, column], prompt[:, column], logits.argmax(-1))
            prompt = prompt.at[:, column].set(token)
        return prompt


def test_subclasses_choose_their_own_way(tiny_lms):
    lm = tiny_lms["gpt2"]
    made = completions(lm, PROMPTS[:1], Second(), 4)[0]
    ids = lm.preprocessor.prompt_ids(PROMPTS[0])
    for token in made:
        assert token == np.argsort(-whole_logits(lm.backbone, [ids])[0, -1])[1]
        ids = [*ids, token]


def test_samplers_with_a_loop_of_their_own_are_run(tiny_lms):
    lm = tiny_lms["llama"]
    assert completions(lm, PROMPTS, OwnLoop(), 6) == completions(lm, PROMPTS, "greedy", 6)
