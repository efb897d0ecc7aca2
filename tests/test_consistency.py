"""Every family agrees with itself: read piece by piece as at once, and in a batch as alone."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import GOLDENS, whole_logits

import workbench as wb

OTHER_INPUTS = (  # not text alone: tests of their own have these
    *("bart", "bert_classifier", "t5gemma", "moonshine"),
    *("gemma3_vision", "paligemma", "paligemma2"),
)
FOLDERS = sorted(
    path.name
    for path in (GOLDENS / "hf").iterdir()
    if path.is_dir() and path.name not in OTHER_INPUTS
)
LENGTH = 24  # beyond every window
PADDED = 64  # what `whole_logits` pads to, which chooses the factors of longrope


@pytest.fixture(scope="module", params=FOLDERS)
def lm(request):
    return wb.models.CausalLM.from_preset(str(GOLDENS / "hf" / request.param), dtype="float32")


def random_ids(lm, rows):
    width = lm.backbone.config.vocabulary_size
    return np.random.default_rng(1).integers(0, width, (rows, LENGTH)).astype("int32")


def token_by_token(backbone, ids):
    """Logits at every position, each token read alone against the cache."""

    @jax.jit
    def run(ids):
        def step(cache, at):
            positions = jnp.full((ids.shape[0], 1), at, "int32")
            token = jax.lax.dynamic_slice_in_dim(ids, at, 1, axis=1)
            hidden, cache = backbone.extend(token, positions, cache)
            return cache, backbone.logits(hidden)[:, 0]

        cache = backbone.init_cache(ids.shape[0], LENGTH, reach=PADDED)
        return jnp.swapaxes(jax.lax.scan(step, cache, jnp.arange(LENGTH))[1], 0, 1)

    return np.asarray(run(ids))


def test_cached_equals_full(lm):
    ids = random_ids(lm, 2)
    full = whole_logits(lm.backbone, ids)
    np.testing.assert_allclose(token_by_token(lm.backbone, ids), full, atol=1e-4)


def test_a_batch_equals_its_rows_alone(lm):
    ids = random_ids(lm, 3)
    lengths = np.array([5, 16, 9])
    mask = (np.arange(LENGTH) < lengths[:, None]).astype("int32")
    write = functools.partial(lm.generate, stop_token_ids=None, sampler="greedy")
    together = write({"token_ids": ids, "padding_mask": mask})["token_ids"]
    for row in range(3):
        alone = write({"token_ids": ids[row : row + 1], "padding_mask": mask[row : row + 1]})
        np.testing.assert_array_equal(together[row], alone["token_ids"][0])
