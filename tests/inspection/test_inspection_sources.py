"""Looking into models that read more than text: an encoder's text, a picture."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.errors import PromptError

TOLERANCE = 1e-4


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def of(name):
    return wb.models.CausalLM.from_preset(str(GOLDENS / "keras_hub" / name), dtype="float32")


@pytest.fixture(scope="module")
def bart():
    lm = of("bart")
    reading = {"encoder_text": "the quick brown fox", "decoder_text": "a fox is quick"}
    return lm, lm.inspect(reading), lm.trace(reading)


def test_a_decoders_text_is_read_beside_the_encoders(bart):
    lm, inspection, trace = bart
    reader = lm.preprocessor
    source = np.array([reader.source_ids("the quick brown fox")])
    target = inspection.ids[None]
    assert inspection.ids.tolist() == reader.target_ids("a fox is quick")
    arrays = {
        "encoder_token_ids": source,
        "encoder_padding_mask": np.ones_like(source),
        "decoder_token_ids": target,
        "decoder_padding_mask": np.ones_like(target),
    }
    logits = np.asarray(jax.jit(lm)({key: np.int32(value) for key, value in arrays.items()}))[0]
    own = log_softmax(logits)[np.arange(target.size - 1), target[0, 1:]]
    np.testing.assert_allclose(inspection.logprobs[1:-1], own, atol=TOLERANCE)
    np.testing.assert_allclose(trace["logits"], logits, atol=TOLERANCE)
    assert inspection.layers == len(lm.backbone.blocks)
    looks = trace["decoder_block_0/cross_attention/weights"]
    assert looks.shape[1:] == (target.size, source.size)
    np.testing.assert_allclose(looks.sum(-1), 1, atol=1e-5)
    both = trace["encoder_block_0/attention/weights"]
    assert both.shape[1:] == (source.size, source.size) and np.triu(both, 1).any()


def test_what_is_no_pair_of_texts_is_named(bart):
    lm, _, _ = bart
    for wrong, said in (
        ({"decoder_text": "a fox"}, "expected encoder_text"),
        ({"encoder_text": "a", "decoder_text": 3}, "expected strings, got int"),
        ({"encoder_text": ["a"], "decoder_text": ["b"]}, "got several"),
        (["a", "b"], "got several"),
        ([1, 2], "expected a string"),
        (3, "expected strings"),
    ):
        for look in (lm.inspect, lm.trace):
            with pytest.raises(PromptError, match=said):
                look(wrong)


def test_a_part_of_a_picture_is_no_token():
    lm = of("pali_gemma")
    picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), "uint8")
    inspection = lm.inspect({"images": picture, "prompts": "answer"})
    size, images = len(inspection.ids), lm.backbone.images.tokens
    assert inspection.pieces[: images + 2] == (*["<image>"] * images, "<bos>", "a")
    lens = inspection.lens(2)
    for logprobs, ranks in (
        (inspection.logprobs, inspection.ranks),
        *zip(lens.token_logprobs, lens.token_ranks, strict=True),
    ):
        assert np.isnan(logprobs[[*range(images), size]]).all()
        assert np.isfinite(logprobs[images:size]).all()
        assert ((ranks > 0) == np.isfinite(logprobs)).all()
    weights = inspection.attention(0)
    assert weights.shape[1:] == (size, size)
    assert np.triu(weights, 1).any(), "picture and prompt look both ways"
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
