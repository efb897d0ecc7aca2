"""Where a model looks in a picture: against attention computed by hand, block by block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.backbones.layers.rotary import rotate, rotation
from workbench.errors import PromptError
from workbench.generation.events import Token

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype("uint8")
ASKED = {"images": PICTURE, "prompts": "the earth"}
TOKENS = 4


@pytest.fixture(scope="module")
def lm():
    preset = str(GOLDENS / "keras_hub" / "pali_gemma2")  # with soft caps and windows
    return wb.models.CausalLM.from_preset(preset, dtype="float32")


@pytest.fixture(scope="module")
def written(lm):
    events = lm.stream(ASKED, max_new_tokens=TOKENS, stop_token_ids=None)
    return [event.id for event in events if isinstance(event, Token)]


def weights_by_hand(attention, x, positions, groups):
    """Softmax weights (heads, T, T) of one attention layer for x (1, T, D)."""
    spec = attention.spec
    turn = rotation(attention.position, spec.head_dim, False)
    query = rotate(attention.query(x), positions, turn)[0]
    key = rotate(attention.key(x), positions, turn)[0]
    key = jnp.repeat(key, spec.heads // spec.kv_heads, axis=1)
    scores = jnp.einsum("thk,shk->hts", query, key) * spec.scale
    if spec.soft_cap is not None:
        scores = spec.soft_cap * jnp.tanh(scores / spec.soft_cap)
    back = positions[0][:, None] - positions[0][None, :]
    visible = back >= 0
    if attention.window is not None:
        visible &= back < attention.window
    same = groups[0][:, None] == groups[0][None, :]
    visible |= same & (groups[0][:, None] >= 0)
    return jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), axis=-1)


def by_hand(lm, completion):
    """The mean over heads and layers, (tokens, rows, columns)."""
    backbone, reader = lm.backbone, lm.preprocessor
    reading = reader.reading(reader.prompts_of(ASKED)[0][0])
    vectors = backbone.encode_images(jnp.asarray(reading.images[0])[None])
    text = jnp.asarray([[*reading.ids, *completion[:-1]]])
    scale = jnp.sqrt(jnp.float32(backbone.config.width))
    x = jnp.concatenate([vectors, backbone.embed(text) * scale], axis=1)
    prompt = vectors.shape[1] + len(reading.ids)
    positions = jnp.arange(x.shape[1])[None]
    groups = jnp.where(positions < prompt, 0, -1)
    seen = []
    for block in backbone.blocks:
        normed = block.attention_norm(x)
        seen.append(weights_by_hand(block.attention, normed, positions, groups).mean(0))
        x = block(x, jnp.ones_like(positions), groups)
    rows = jnp.mean(jnp.stack(seen), axis=0)[prompt - 1 :, : vectors.shape[1]]
    return rows.reshape(len(completion), *backbone.images.grid)


def test_it_is_the_mean_over_heads_and_layers(lm, written):
    found = lm.image_attention(ASKED, written)
    assert found.shape == (TOKENS, *lm.backbone.images.grid) and found.dtype == np.float32
    np.testing.assert_allclose(found, jax.jit(lambda: by_hand(lm, written))(), atol=1e-5)


def test_a_completion_may_be_text(lm):
    text = "the"
    ids = lm.preprocessor.tokenizer.tokenize(text)
    np.testing.assert_array_equal(lm.image_attention(ASKED, text), lm.image_attention(ASKED, ids))


def test_watching_changes_nothing(lm, written):
    lm.image_attention(ASKED, written)
    again = lm.generate(ASKED, max_new_tokens=TOKENS, stop_token_ids=None, strip_prompt=True)
    assert again == lm.preprocessor.text(written, after=lm.preprocessor.prompt_ids("the earth\n"))


@pytest.mark.parametrize(
    ("completion", "picture", "named"),
    [("", 0, "completion"), ([3], 1, "picture"), ([3], -1, "picture")],
)
def test_what_is_not_there_is_named(lm, completion, picture, named):
    with pytest.raises(PromptError, match=named):
        lm.image_attention(ASKED, completion, picture)
