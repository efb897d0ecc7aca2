"""Mixtures of experts beside the slow obvious version: every expert computed for every token."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.backbones import config
from workbench.backbones.layers import grouped
from workbench.backbones.layers.feed_forward import make_mlp
from workbench.backbones.layers.moe import balance_loss
from workbench.errors import SettingError

WIDTH, INNER = 12, 10
PRODUCTS = {
    "blocks of one": (lambda of: grouped.alone(of, 5), grouped.in_blocks),
    "blocks of four": (lambda of: grouped.sort(of, 5, block=4), grouped.in_blocks),
    "blocks of eight": (lambda of: grouped.sort(of, 5, block=8), grouped.in_blocks),
    "gathered": (lambda of: grouped.alone(of, 5), grouped.gathered),
    "ragged": (lambda of: grouped.sort(of, 5), grouped.ragged),
}


def layer(**settings):
    spec = config.MoE(**{"experts": 5, "active": 2, "width": INNER, **settings})
    keras.utils.set_random_seed(0)
    made = make_mlp(spec, WIDTH, keras.initializers.RandomNormal(stddev=0.5), name="mlp")
    made.build((None, None, WIDTH))
    return made


def losses(moe, x, mask=None, training=True):
    """What one compiled call adds to the loss."""
    weights = [variable.value for variable in moe.trainable_variables]

    def run(weights, x, mask):
        given = {"training": training, "return_losses": True}
        return moe.stateless_call(weights, [], x, mask, **given)[2]

    return [float(value) for value in jax.jit(run)(weights, x, mask)]


def tokens(batch, length, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, length, WIDTH)).astype("float32")


def probabilities(moe, x):
    logits = x @ np.asarray(moe.router.kernel).T
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def gated(x, gate, up, down):
    inner = x @ gate.T
    return (inner / (1 + np.exp(-inner)) * (x @ up.T)) @ down.T


def dense(moe, x, active, normalize):
    """All experts for all tokens, then the active ones alone."""
    odds = probabilities(moe, x)
    kept = np.where(odds >= np.sort(odds)[..., [-active]], odds, 0)
    if normalize:
        kept = kept / kept.sum(-1, keepdims=True)
    kernels = [np.asarray(k) for k in (moe.experts.gate, moe.experts.up, moe.experts.down)]
    made = [gated(x, *(kernel[e] for kernel in kernels)) for e in range(odds.shape[-1])]
    return np.einsum("ebtd,bte->btd", np.stack(made), kept)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 23)], ids=str)
def test_a_mixture_is_the_weighted_sum_of_its_active_experts(shape, normalize):
    moe, x = layer(normalize=normalize), tokens(*shape)
    expected = dense(moe, x, 2, normalize)
    np.testing.assert_allclose(np.asarray(jax.jit(moe)(x)), expected, atol=1e-5)


def test_all_tokens_may_choose_one_expert():
    moe, x = layer(active=1), np.abs(tokens(2, 23))
    router = np.zeros((5, WIDTH), "float32")
    router[3] = 1
    moe.router.kernel.assign(router)
    np.testing.assert_allclose(np.asarray(jax.jit(moe)(x)), dense(moe, x, 1, True), atol=1e-5)


def test_the_shared_expert_is_weighted_by_its_gate():
    moe, x = layer(shared_width=7), tokens(2, 4)
    gate = 1 / (1 + np.exp(-x @ np.asarray(moe.shared_gate.kernel).T))
    kernels = [np.asarray(part.kernel) for part in (moe.shared.gate, moe.shared.up)]
    shared = gated(x, *kernels, np.asarray(moe.shared.down.kernel))
    expected = dense(moe, x, 2, True) + gate * shared
    np.testing.assert_allclose(np.asarray(jax.jit(moe)(x)), expected, atol=1e-5)


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_product_and_its_gradients_equal_the_obvious_ones(name):
    order, product = PRODUCTS[name]
    draw = np.random.default_rng(1)
    group_of = draw.choice([0, 1, 4], 21)  # two groups without rows
    rows = draw.normal(size=(21, WIDTH)).astype("float32")
    kernel = draw.normal(size=(5, INNER, WIDTH)).astype("float32")
    goal = draw.normal(size=(21, INNER)).astype("float32")

    def obvious(rows, kernel):
        made = jnp.einsum("mi,moi->mo", rows, kernel[group_of])
        return (made * goal).sum(), made

    def fast(rows, kernel):
        groups = order(jnp.asarray(group_of))
        given = jnp.where(groups.filled[:, None], rows[groups.items], 0)
        made = product(given, kernel, groups)[groups.places]
        return (made * goal).sum(), made

    results = []
    for function in (obvious, fast):
        both = jax.jit(jax.value_and_grad(function, (0, 1), has_aux=True))
        (_, made), gradients = both(rows, kernel)
        results.append((made, *gradients))
    for expected, got in zip(*results, strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(expected), atol=1e-4)


def test_kernels_larger_than_a_piece_are_read_in_pieces(monkeypatch):
    monkeypatch.setattr(grouped, "_PIECE_OF_ONE", 3 * WIDTH)  # 10 rows: 3, 3, 3 and 1
    monkeypatch.setattr(grouped, "_PIECE_OF_BLOCK", 4 * WIDTH)
    for shape in ((1, 1), (2, 23)):
        moe, x = layer(), tokens(*shape)
        np.testing.assert_allclose(np.asarray(jax.jit(moe)(x)), dense(moe, x, 2, True), atol=1e-5)


def test_decoding_reads_only_the_chosen_experts():
    """Whatever the other experts hold, even NaN, is never touched."""
    moe, x = layer(), tokens(1, 1)
    expected = dense(moe, x, 2, True)
    unused = np.argsort(probabilities(moe, x)[0, 0])[:3]
    for kernel in (moe.experts.gate, moe.experts.up, moe.experts.down):
        values = np.asarray(kernel).copy()
        values[unused] = np.nan
        kernel.assign(values)
    np.testing.assert_allclose(np.asarray(jax.jit(moe)(x)), expected, atol=1e-5)


def test_the_balance_loss_is_the_published_one_over_real_tokens():
    moe, x = layer(balance_loss=0.5), tokens(2, 6)
    mask = np.array([[1] * 6, [1] * 3 + [0] * 3])
    odds = probabilities(moe, x)[mask.astype(bool)]
    chosen = np.argsort(odds)[:, -2:]
    share = np.stack([(chosen == e).any(-1).mean() for e in range(5)])
    expected = 5 * (share * odds.mean(0)).sum()
    assert losses(moe, x, mask) == pytest.approx([0.5 * expected])
    noise = np.where(mask[..., None], x, 9).astype("float32")
    assert losses(moe, noise, mask) == pytest.approx([0.5 * expected])


def test_an_even_spread_has_the_smallest_balance_loss():
    odds = jnp.full((20, 5), 0.2)
    even = jnp.arange(20)[:, None] % 5
    assert float(balance_loss(odds, even)) == pytest.approx(1)
    favourite = jnp.tile(jnp.asarray([0.6, 0.1, 0.1, 0.1, 0.1]), (20, 1))
    assert float(balance_loss(favourite, jnp.zeros((20, 1), int))) == pytest.approx(3)


def test_only_training_adds_the_balance_loss():
    moe, x = layer(balance_loss=0.5), tokens(1, 4)
    assert losses(moe, x, training=False) == []
    assert losses(layer(), x) == []


@pytest.mark.parametrize(
    "settings", [{"active": 6}, {"experts": 0}, {"balance_loss": -1}, {"shared_width": 0}], ids=str
)
def test_impossible_mixtures_are_refused(settings):
    with pytest.raises(SettingError, match="MoE"):
        layer(**settings)


@pytest.fixture(scope="module")
def backbone():
    """Four layers of which one has experts, and a shared one."""
    folder = str(GOLDENS / "hf" / "qwen2_moe_dense")
    return wb.models.Backbone.from_preset(folder, dtype="float32")


def test_only_sparse_layers_have_experts(backbone):
    owners = {w.path.partition("/")[0] for w in backbone.weights if "/experts/" in w.path}
    assert owners == {"decoder_block_1"}


def test_a_backbone_adds_one_loss_a_sparse_layer_and_padding_counts_nowhere(backbone):
    draw = np.random.default_rng(0)
    ids = draw.integers(0, 100, (2, 8)).astype("int32")
    mask = np.array([[1] * 8, [1] * 5 + [0] * 3], "int32")
    weights = [variable.value for variable in backbone.trainable_variables]

    @jax.jit
    def run(weights, ids):
        inputs = {"token_ids": ids, "padding_mask": mask}
        return backbone.stateless_call(weights, [], inputs, training=True, return_losses=True)

    hidden, _, first = run(weights, ids)
    noise = np.where(mask, ids, draw.integers(0, 100, (2, 8))).astype("int32")
    other, _, second = run(weights, noise)
    assert len(first) == 1
    assert float(first[0]) > 0
    assert float(first[0]) == pytest.approx(float(second[0]))
    real = mask.astype(bool)
    np.testing.assert_allclose(np.asarray(hidden)[real], np.asarray(other)[real], atol=1e-5)


def test_experts_take_no_lora():
    folder = str(GOLDENS / "hf" / "qwen2_moe_dense")
    fresh = wb.models.Backbone.from_preset(folder, load_weights=False)
    with pytest.raises(SettingError, match=r"some of .*got \['query', 'experts'\]"):
        fresh.enable_lora(2, ["query", "experts"])
    fresh.enable_lora(2)
    names = {variable.path.split("/")[-2] for variable in fresh.trainable_variables}
    assert names == {"query", "value"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mlp_only_layers": [4]}, "mlp_only_layers: expected indices from 0 to 3"),
        ({"mlp_only_layers": 3}, "mlp_only_layers: expected a list"),
        ({"decoder_sparse_step": 0}, "decoder_sparse_step"),
        ({"top_k": 6}, "MoE: active"),
        ({"output_router_logits": True}, "output_router_logits: expected False"),
    ],
    ids=str,
)
def test_impossible_arguments_are_refused(backbone, settings, message):
    with pytest.raises(SettingError, match=message):
        type(backbone)(**{**backbone.arguments, **settings})
