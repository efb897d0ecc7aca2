"""The arithmetic of beam and contrastive search against enumeration."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np

from workbench.samplers.beam import expand, first_scores, follow
from workbench.samplers.contrastive import candidates, contrast

random = np.random.default_rng(0)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_beams_of_full_width_find_the_best_sequences():
    """With as many beams as there are prefixes, beam search is exhaustive."""
    size, steps, beams = 3, 3, 9
    first, second, third = (random.normal(size=(size,) * n) for n in (1, 2, 3))
    tables = [log_softmax(t) for t in (first, second, third)]
    every = {
        s: sum(t[s[: n + 1]] for n, t in enumerate(tables)) for s in product(range(3), repeat=3)
    }
    best = sorted(every, key=every.get, reverse=True)[:beams]

    scores = first_scores(1, beams)
    tokens = jnp.zeros((beams, steps), jnp.int32)
    for n, table in enumerate((first, second, third)):
        logits = np.stack([table[tuple(row[:n])] for row in np.asarray(tokens)])
        new, parents, scores = jax.jit(expand)(logits, scores)
        tokens = follow(parents, tokens).at[:, n].set(new.reshape(-1))
    assert [tuple(map(int, row)) for row in tokens] == best
    np.testing.assert_allclose(scores[0], [every[s] for s in best], rtol=1e-5)


def test_the_first_step_expands_one_beam():
    logits = np.tile(random.normal(size=(2, 1, 7)), (1, 3, 1)).reshape(6, 7).astype("float32")
    tokens, parents, scores = expand(logits, first_scores(2, 3))
    assert np.all(parents == 0)
    assert np.array_equal(tokens, np.argsort(-logits[::3], axis=-1)[:, :3])
    np.testing.assert_allclose(
        scores, -np.sort(-log_softmax(logits[::3]), axis=-1)[:, :3], rtol=1e-5
    )


def test_beams_follow_their_parents_within_their_row():
    parents = jnp.array([[1, 1, 0], [2, 0, 0]])
    moved = follow(parents, {"cache": jnp.arange(6.0)})["cache"]
    assert moved.tolist() == [1, 1, 0, 5, 3, 3]


def test_temperature_divides_the_logits_of_beams():
    logits = random.normal(size=(2, 5)).astype("float32")
    scores = np.array([[-0.5, -0.7]], "float32")
    for a, b in zip(expand(logits, scores, 2.0), expand(logits / 2, scores), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_candidates_are_the_likeliest():
    tokens, best = candidates(jnp.log(jnp.array([[0.1, 0.4, 0.2, 0.3]])), 2)
    assert tokens.tolist() == [[1, 3]]
    np.testing.assert_allclose(best, [[0.4, 0.3]], rtol=1e-6)


def test_contrast_is_the_weighted_difference():
    batch, k, length, width = 4, 5, 6, 8
    p = random.random((batch, k)).astype("float32")
    new = random.normal(size=(batch, k, width)).astype("float32")
    old = random.normal(size=(batch, length, width)).astype("float32")
    mask = random.random((batch, length)) < 0.6
    mask[:, 0] = True
    for alpha in (0.0, 0.3, 0.6, 1.0):
        scores = np.zeros((batch, k))
        for b, c in product(range(batch), range(k)):
            cosines = old[b] @ new[b, c] / np.linalg.norm(old[b], axis=-1)
            cosines /= np.linalg.norm(new[b, c])
            scores[b, c] = (1 - alpha) * p[b, c] - alpha * cosines[mask[b]].max()
        got = jax.jit(contrast)(p, new, old, mask, alpha)
        assert np.array_equal(got, scores.argmax(-1))


def test_contrast_without_a_past_is_greedy_and_survives_zero_states():
    p = jnp.array([[0.2, 0.5, 0.3]])
    zeros = jnp.zeros((1, 3, 4))
    assert contrast(p, zeros + 1, jnp.ones((1, 2, 4)), jnp.zeros((1, 2), bool), 0.6) == 1
    assert contrast(p, zeros, jnp.ones((1, 2, 4)), jnp.ones((1, 2), bool), 0.6) == 1
