"""What `lm.trace` gives equals what Transformers computes on the way to its logits.

`data/goldens/make_traces.py` shows how the reference arrays were made.
"""

from __future__ import annotations

import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb
from workbench.inspection.subject import Subject
from workbench.inspection.trace import trace

TOLERANCE = 1e-4  # float32, absolute

DECODERS = (
    "bloom",
    "falcon_rope_mqa",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
    "llama",
    "mistral_window",
    "qwen3",
)


def stacked(trace, name, layers, stack="decoder"):
    """What every layer of a stack gives by the name, the first of them first: (L, ...)."""
    return np.stack([trace[f"{stack}_block_{layer}/{name}"] for layer in range(layers)])


@pytest.fixture(scope="module", params=DECODERS)
def traced(request):
    folder = GOLDENS / "hf" / request.param
    golden = np.load(folder / "trace.npz")
    lm = wb.models.CausalLM.from_preset(str(folder), dtype="float32")
    return lm.trace(golden["ids"]), golden


def test_hidden_states(traced):
    trace, golden = traced
    states = golden["hidden_states"]
    layers = len(states) - 1
    np.testing.assert_allclose(trace["embedding"], states[0], atol=TOLERANCE)
    residual = stacked(trace, "output", layers)
    np.testing.assert_allclose(residual[:-1], states[1:-1], atol=TOLERANCE)
    np.testing.assert_allclose(residual[-1], golden["last"], atol=TOLERANCE)
    np.testing.assert_allclose(trace["final_norm/output"], states[-1], atol=TOLERANCE)


def test_attentions(traced):
    trace, golden = traced
    weights = stacked(trace, "attention/weights", len(golden["attentions"]))
    np.testing.assert_allclose(weights, golden["attentions"], atol=TOLERANCE)


def test_what_the_branches_add(traced):
    trace, golden = traced
    for branch in ("attention", "mlp"):
        added = stacked(trace, f"{branch}/output", len(golden["attentions"]))
        np.testing.assert_allclose(added, golden[f"{branch}_output"], atol=TOLERANCE)


def test_logits(traced):
    trace, golden = traced
    np.testing.assert_allclose(trace["logits"], golden["logits"], atol=TOLERANCE)


def test_the_names_are_the_same_for_every_family(traced):
    trace, golden = traced
    per_layer = ("attention/weights", "attention/output", "mlp/output", "output")
    blocks = [
        f"decoder_block_{layer}/{name}"
        for layer in range(len(golden["attentions"]))
        for name in per_layer
    ]
    assert {"embedding", *blocks, "final_norm/output", "logits"} <= set(trace)
    assert {array.dtype.name for array in trace.values()} == {"float32"}
    np.testing.assert_array_equal(trace.ids, golden["ids"])


@pytest.fixture(scope="module")
def bart():
    """The decoder reading one text, the encoder another; the checkpoint has no tokenizer."""
    golden = np.load(GOLDENS / "hf" / "bart" / "trace.npz")
    lm = wb.models.CausalLM.from_preset(str(GOLDENS / "hf" / "bart"), dtype="float32")
    ids = golden["ids"][None].astype("int32")
    source = {"encoder_token_ids": ids, "encoder_padding_mask": np.ones_like(ids, bool)}
    return trace(Subject(lm.programs, None, golden["decoder_ids"], source)), golden


@pytest.mark.parametrize("stack", ["decoder", "encoder"])
def test_both_stacks_of_an_encoder_decoder(bart, stack):
    seen, golden = bart
    prefix = "" if stack == "decoder" else "encoder_"
    states = golden[f"{prefix}hidden_states"]
    layers = len(states) - 1
    residual = stacked(seen, "output", layers, stack)
    np.testing.assert_allclose(residual, states[1:], atol=TOLERANCE)
    for name in ("attention/weights", "attention/output", "mlp/output"):
        key = "attentions" if name.endswith("weights") else name.replace("/", "_")
        found = stacked(seen, name, layers, stack)
        np.testing.assert_allclose(found, golden[f"{prefix}{key}"], atol=TOLERANCE)


def test_where_a_decoder_looks_in_the_encoders_text(bart):
    seen, golden = bart
    weights = stacked(seen, "cross_attention/weights", len(golden["cross_attentions"]))
    assert weights.shape[2:] == (9, 7)
    np.testing.assert_allclose(weights, golden["cross_attentions"], atol=TOLERANCE)
    np.testing.assert_allclose(seen["embedding"], golden["hidden_states"][0], atol=TOLERANCE)
    np.testing.assert_allclose(seen["logits"], golden["logits"], atol=TOLERANCE)
