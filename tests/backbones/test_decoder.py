"""The decoder's two ways through its layers agree, and every choice in its configuration counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import UNLIKE, tiny_backbone, whole_logits

import workbench as wb
from workbench.errors import SettingError

IDS = np.random.default_rng(0).integers(0, 257, (2, 12)).astype("int32")


def extender(backbone):
    """`backbone.extend`, compiled, with logits in place of hidden states."""

    @jax.jit
    def run(inputs, at, cache):
        hidden, cache = backbone.extend(inputs, at, cache)
        return backbone.logits(hidden), cache

    return run


def positions(ids):
    return jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)


@pytest.fixture(scope="module", params=UNLIKE)
def backbone(request):
    return tiny_backbone(request.param)


@pytest.fixture(scope="module")
def extend(backbone):
    return extender(backbone)


def test_one_position_at_a_time_equals_the_whole_sequence(backbone, extend):
    cache = backbone.init_cache(2, 16)
    stepped = []
    for i in range(IDS.shape[1]):
        logits, cache = extend(IDS[:, i : i + 1], jnp.full((2, 1), i), cache)
        stepped.append(np.asarray(logits))
    np.testing.assert_allclose(np.concatenate(stepped, 1), whole_logits(backbone, IDS), atol=2e-5)


def test_a_chunk_joins_what_the_cache_holds(backbone, extend):
    cache = backbone.init_cache(2, 16)
    _, cache = extend(IDS[:, :6], positions(IDS)[:, :6], cache)
    logits, _ = extend(IDS[:, 6:], positions(IDS)[:, 6:], cache)
    np.testing.assert_allclose(np.asarray(logits), whole_logits(backbone, IDS)[:, 6:], atol=2e-5)


def test_embeddings_are_taken_in_place_of_ids(backbone, extend):
    from_ids, _ = extend(IDS, positions(IDS), backbone.init_cache(2, 16))
    vectors = backbone.embed(jnp.asarray(IDS))
    from_vectors, _ = extend(vectors, positions(IDS), backbone.init_cache(2, 16))
    np.testing.assert_allclose(np.asarray(from_ids), np.asarray(from_vectors), atol=1e-6)


def test_rows_at_different_positions_do_not_disturb_each_other(backbone, extend):
    cache = backbone.init_cache(2, 16)
    _, cache = extend(IDS, positions(IDS), cache)
    # Row 0 goes back to position 4, row 1 goes on at 12: each must see its own past only.
    logits, _ = extend(np.array([[7], [9]]), np.array([[4], [12]]), cache)
    first = np.concatenate([IDS[:1, :4], [[7]]], 1)
    second = np.concatenate([IDS[1:], [[9]]], 1)
    for row, ids in enumerate((first, second)):
        expected = whole_logits(backbone, ids)[0, -1]
        np.testing.assert_allclose(np.asarray(logits)[row, 0], expected, atol=2e-5)


def test_padding_at_the_right_changes_nothing(backbone):
    short = whole_logits(backbone, IDS[:, :7])
    np.testing.assert_allclose(short, whole_logits(backbone, IDS)[:, :7], atol=2e-5)


@pytest.mark.parametrize("window", [4, 5, 6])
def test_a_window_shows_exactly_that_many_keys(window):
    """The last of five tokens sees the first only if the window is at least five."""
    backbone = small_gemma(use_sliding_window_attention=True, sliding_window_size=window)
    changed = IDS[:1, :5].copy()
    changed[0, 0] += 1
    before, after = whole_logits(backbone, IDS[:1, :5]), whole_logits(backbone, changed)
    assert np.allclose(before[0, -1], after[0, -1]) == (window < 5)


def small_gemma(**changes):
    import keras

    keras.utils.set_random_seed(0)
    arguments = {
        "vocabulary_size": 257,
        "num_layers": 1,
        "num_query_heads": 4,
        "num_key_value_heads": 2,
        "hidden_dim": 32,
        "intermediate_dim": 64,
        "head_dim": 12,
    }
    return wb.models.GemmaBackbone(**{**arguments, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"query_head_dim_normalize": False},
        {"use_post_ffw_norm": True},
        {"use_post_attention_norm": True},
        {"attention_logit_soft_cap": 0.001},
        {"final_logit_soft_cap": 0.1},
        {"use_sliding_window_attention": True, "sliding_window_size": 2},
        {"layer_norm_epsilon": 0.5},
    ],
)
def test_every_choice_changes_the_output(changes):
    base, changed = small_gemma(), small_gemma(**changes)
    for source in base.variables:
        target = {v.path: v for v in changed.variables}[source.path]
        value = np.random.default_rng(len(source.path)).normal(scale=0.5, size=source.shape)
        source.assign(value)
        target.assign(value)
    assert np.abs(whole_logits(base, IDS) - whole_logits(changed, IDS)).max() > 1e-4


@pytest.mark.parametrize("family", UNLIKE)
def test_the_configuration_rebuilds_the_same_network(family):
    original = tiny_backbone(family)
    rebuilt = type(original).from_config(original.get_config())
    assert rebuilt.config == original.config
    paths = [[v.path for v in made.trainable_variables] for made in (rebuilt, original)]
    assert paths[0] == paths[1]
    assert rebuilt.get_config() == original.get_config()


@pytest.mark.parametrize("value", [0, -1, 2**31, 2**40, True, 2.5, "12", None, float("nan")])
@pytest.mark.parametrize("name", ["vocabulary_size", "num_layers", "num_query_heads", "hidden_dim"])
def test_absurd_sizes_are_refused_before_any_array_exists(name, value):
    with pytest.raises(SettingError, match="expected"):
        small_gemma(**{name: value})


def test_a_model_too_large_for_any_machine_is_refused_by_arithmetic():
    with pytest.raises(SettingError, match="parameters"):
        small_gemma(vocabulary_size=2**24, hidden_dim=2**20, num_layers=900)


def test_unknown_arguments_are_errors():
    with pytest.raises((TypeError, ValueError), match="use_slidding_window"):
        small_gemma(use_slidding_window=True)


def test_the_layout_map_covers_every_matrix():
    import keras

    mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), devices=jax.devices())
    layout = wb.models.GemmaBackbone.get_layout_map(mesh)
    for variable in small_gemma().variables:
        if variable.ndim > 1:
            assert len(layout[variable.path].axes) == variable.ndim, variable.path
    with pytest.raises(SettingError, match="mesh"):
        wb.models.GemmaBackbone.get_layout_map(mesh, model_parallel_dim_name="width")
