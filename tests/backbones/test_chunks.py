"""Long texts are computed block by block: the numbers stay, the memory grows with the length."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from tiny import tiny_backbone

from workbench.backbones.config import Alibi, Attention, Rope
from workbench.backbones.layers import chunks
from workbench.backbones.layers.attention import LayerCache
from workbench.backbones.layers.bidirectional import make_attention
from workbench.backbones.layers.cross_attention import CrossAttention
from workbench.backbones.observing import observing
from workbench.generation.programs import Programs, Room

WIDTH, LENGTH, ROWS = 16, 29, 2
USUAL = {"heads": 4, "kv_heads": 2, "head_dim": 4, "scale": 0.5}
TEXTS = np.repeat([[1, 2, 0]], [11, 12, 6], axis=1)
PICTURES = np.repeat([[-1, 0, -1, 1, -1]], [3, 9, 2, 9, 6], axis=1)
# name: the specification, the position, the window, and what the call is given beside positions.
KINDS = {
    "rotary": ({}, Rope(), None, {}),
    "window": ({}, Rope(), 5, {}),
    "soft cap": ({"soft_cap": 3.0}, Rope(), 7, {}),
    "alibi": ({}, Alibi(), None, {}),
    "several texts": ({}, Rope(), None, {"padding_mask": TEXTS}),
    "pictures": ({}, Rope(), 6, {"groups": PICTURES}),
    "prefix": ({}, Rope(), None, {"groups": np.where(np.arange(LENGTH) < 20, 0, -1)[None]}),
    "encoder": ({"causal": False}, None, None, {"padding_mask": TEXTS}),
    "encoder window": ({"causal": False}, Rope(), 4, {"padding_mask": TEXTS}),
}


@pytest.fixture
def in_small_chunks(monkeypatch):
    """From here on four places are a long text, computed three at a time."""

    def begin():
        monkeypatch.setattr(chunks, "WHOLE", 4)
        monkeypatch.setattr(chunks, "CHUNK", 3)

    return begin


def layer_of(kind):
    spec, position, window, given = KINDS[kind]
    keras.utils.set_random_seed(0)
    layer = make_attention(
        Attention(**USUAL | spec), WIDTH, "glorot_uniform", position=position, window=window
    )
    layer.build((None, None, WIDTH))
    rows = {name: np.repeat(part, ROWS, axis=0) for name, part in given.items()}
    return layer, rows


def vectors(seed=1, length=LENGTH):
    return np.random.default_rng(seed).normal(size=(ROWS, length, WIDTH)).astype("float32")


def run(layer, x, start=0, **given):
    """What the layer gives, and how it weighs."""
    positions = np.broadcast_to(start + np.arange(x.shape[1]), x.shape[:2])

    def forward(x):
        with observing("*/weights") as seen:
            made, _ = layer(x, positions, **given)
        return made, list(seen.values())

    return jax.device_get(jax.jit(forward)(x))


def assert_equal(blockwise, whole):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), blockwise, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_attention_gives_the_same(kind, in_small_chunks):
    layer, given = layer_of(kind)
    whole = run(layer, vectors(), **given)
    in_small_chunks()
    assert_equal(run(layer, vectors(), **given), whole)
    np.testing.assert_allclose(whole[1][0].sum(-1), 1, atol=1e-5)


def test_training_gets_the_same_gradient(in_small_chunks):
    layer, given = layer_of("several texts")
    positions = np.broadcast_to(np.arange(LENGTH), (ROWS, LENGTH))

    def gradient():
        return jax.jit(jax.grad(lambda x: jnp.sum(layer(x, positions, **given)[0] ** 2)))(vectors())

    whole = gradient()
    in_small_chunks()
    np.testing.assert_allclose(gradient(), whole, atol=1e-5)


@pytest.mark.parametrize("kind", ["alibi", "pictures"])
def test_a_text_that_goes_on_in_a_cache_is_the_same(kind, in_small_chunks):
    layer, given = layer_of(kind)
    slots = np.full((ROWS, LENGTH + 9, USUAL["kv_heads"], USUAL["head_dim"]), 0.5, np.float32)
    given["cache"] = LayerCache(slots, -slots)
    whole = run(layer, vectors(), 4, **given)
    in_small_chunks()
    assert_equal(run(layer, vectors(), 4, **given), whole)


def test_attention_to_an_encoder_gives_the_same(in_small_chunks):
    layer = CrossAttention(Attention(**USUAL), WIDTH, WIDTH, "glorot_uniform")
    layer.build((None, None, WIDTH))
    mask = np.broadcast_to(np.arange(17) < 13, (ROWS, 17))

    def made():
        return jax.jit(lambda x, memory: layer(x, layer.remember(memory), mask))(
            vectors(), vectors(2, 17)
        )

    whole = made()
    in_small_chunks()
    np.testing.assert_allclose(made(), whole, atol=1e-5)


def test_a_short_text_runs_the_program_it_always_ran():
    made = jax.make_jaxpr(lambda x: chunks.in_chunks(jnp.sin, x))(jnp.zeros((1, chunks.WHOLE)))
    assert [equation.primitive.name for equation in made.eqns] == ["sin"]


def temporary(length):
    """Bytes that reading a prompt of this length needs on its way, by XLA's own account."""
    programs = Programs(tiny_backbone("llama"))
    ids, lengths = np.zeros((1, length), np.int32), np.array([length], np.int32)
    room = Room(length, False)
    made = programs.prefill.lower(programs.parameters(), ids, lengths, {}, room=room).compile()
    return made.memory_analysis().temp_size_in_bytes


def test_memory_grows_with_the_length_and_not_with_its_square():
    assert temporary(8192) < 2.5 * temporary(4096)
    assert temporary(8192) < 60e6, "a matrix of 4 heads and 8192 x 8192 scores is 1.1 GB"
