"""What `lm.trace` gives equals what Transformers computes on the way to its logits.

`data/goldens/make_traces.py` shows how the reference arrays were made.
"""

from __future__ import annotations

import numpy as np
import pytest
from tiny import GOLDENS

import workbench as wb

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
