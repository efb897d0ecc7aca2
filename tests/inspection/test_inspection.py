"""`lm.inspect` against the slow, obvious version, and `Distribution` against what samplers draw."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sampling_oracle as oracle
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from tiny import END, FAMILIES, byte_tokenizer, tiny_backbone, whole_logits

from workbench.backbones.adapter import Adapter, LowRank
from workbench.errors import PromptError, SettingError
from workbench.generation.events import Token
from workbench.inspection import Continuation, Distribution
from workbench.inspection.distribution import LISTED
from workbench.jobs.generation import GenerationJob
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.samplers import GreedySampler, RandomSampler, TopPSampler
from workbench.samplers.choose import choose
from workbench.samplers.history import History
from workbench.tasks.causal_lm import CausalLM

TEXT = "Once upon a time\n\nthere"
TOLERANCE = 1e-4  # of float32 log-probabilities, absolute
quick = partial(profile, deadline=None, database=None, derandomize=True)


def lm_of(backbone):
    return CausalLM(backbone, CausalLMPreprocessor(byte_tokenizer(), sequence_length=64))


@pytest.fixture(scope="module")
def lms(tiny_lms):
    return tiny_lms


@pytest.fixture(scope="module", params=FAMILIES)
def read(request, lms):
    """A model, its inspection of the text, and its logits (T, V) by the full forward pass."""
    lm = lms[request.param]
    inspection = lm.inspect(TEXT)
    return lm, inspection, whole_logits(lm.backbone, [inspection.ids])[0].astype("float64")


@pytest.fixture(scope="module")
def llama(lms):
    return lms["llama"]


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def entropy(logits):
    logprobs = log_softmax(logits)
    return -(np.exp(logprobs) * logprobs).sum(-1)


# -- the places of a text -------------------------------------------------------------------


def test_places_are_those_of_the_full_forward_pass(read):
    lm, inspection, logits = read
    ids, logprobs = inspection.ids, log_softmax(logits)
    size = len(ids)
    assert ids.tolist() == lm.preprocessor.prompt_ids(TEXT)
    own = logprobs[np.arange(size - 1), ids[1:]]
    np.testing.assert_allclose(inspection.logprobs[1:-1], own, atol=TOLERANCE)
    np.testing.assert_allclose(inspection.entropies[1:], entropy(logits), atol=TOLERANCE)
    best, chances = inspection.alternatives
    for place in range(1, size + 1):
        row = np.array([oracle.ranking(logits[place - 1])])[0]
        assert best[place].tolist() == row[:8].tolist()
        np.testing.assert_allclose(chances[place], logprobs[place - 1, row[:8]], atol=TOLERANCE)
        if place < size:
            assert inspection.ranks[place] == 1 + row.tolist().index(ids[place])


def test_shapes_and_the_ends(read):
    lm, inspection, _ = read
    places = len(inspection.ids) + 1
    best, chances = inspection.alternatives
    assert best.shape == chances.shape == (places, 8)
    for array, dtype in (
        (inspection.ids, "int32"),
        (inspection.logprobs, "float32"),
        (inspection.entropies, "float32"),
        (inspection.ranks, "int32"),
        (best, "int32"),
        (chances, "float32"),
    ):
        assert array.dtype == dtype and len(array) in (places - 1, places)
    assert np.isnan(inspection.logprobs[[0, -1]]).all()
    assert np.isfinite(inspection.logprobs[1:-1]).all()
    assert np.isnan(inspection.entropies[0]) and np.isfinite(inspection.entropies[1:]).all()
    assert inspection.ranks[0] == inspection.ranks[-1] == 0 and inspection.ranks[1:-1].min() >= 1
    assert (best[0] == -1).all() and np.isnan(chances[0]).all()
    assert len(inspection.pieces) == places - 1
    assert inspection.pieces == tuple(map(inspection.piece, inspection.ids))
    assert inspection.layers == len(lm.backbone.blocks)
    assert f"{places - 1} tokens" in repr(inspection)


def test_ids_are_kept_as_they_are(llama):
    ids = [256, 1, 2, 256, 3]  # with the token that ends texts amid them
    for given_ids in (ids, np.array(ids), np.array(ids, "uint16"), jnp.array(ids)):
        assert llama.inspect(given_ids).ids.tolist() == ids
    assert llama.inspect(ids).pieces[0] == END
    one = llama.inspect([5])
    assert np.isnan(one.logprobs).all() and one.alternatives[0][1].min() >= 0
    assert one.ranks.tolist() == [0, 0]


def test_of_equal_tokens_the_lowest_id_is_first(lms):
    backbone = tiny_backbone("llama", seed=4)
    table = np.array(backbone.token_embedding.reverse_embeddings.value)
    assert table.shape == (32, 257)
    # 157 tokens with the logit 0: sums of zeros are equal on every processor, those of equal
    # columns need not be.
    table[:, 100:] = 0.0
    backbone.token_embedding.reverse_embeddings.assign(table)
    inspection = lm_of(backbone).inspect([3, 150, 100, 200, 99, 256])
    logits = whole_logits(backbone, [inspection.ids])[0]
    assert (logits[:, 100:] == 0).all() and np.abs(logits[:, :100]).min() > TOLERANCE
    for place in range(1, 6):
        distribution = inspection.distribution(place)
        same = distribution.ids[distribution.ids >= 100]
        assert same.tolist() == sorted(same.tolist())
        behind = int((logits[place - 1] > logits[place - 1, 100]).sum())
        token = inspection.ids[place]
        if token >= 100:
            assert inspection.ranks[place] == behind + 1 + (token - 100)


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["inspect", "trace"])
@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "at least one token"),
        ([[1, 2]], r"token ids \(T,\)"),
        ([1.5], "token ids"),
        ([-1, 3], "from 0 to 256"),
        ([257], "from 0 to 256"),
        (None, "text"),
        ([1] * 65, "64"),
    ],
    ids=str,
)
def test_what_is_no_text_is_named(lms, call, inputs, said):
    with pytest.raises(PromptError, match=said):
        getattr(lms["gpt2"], call)(inputs)


def test_what_is_not_there_is_named(llama):
    inspection = llama.inspect(TEXT)
    last = len(inspection.ids)
    for place in (0, -1, last + 1, 1.0, True, None):
        with pytest.raises(SettingError, match=f"place: expected an integer from 1 to {last}"):
            inspection.distribution(place)
    for layer in (-1, 2, "0"):
        with pytest.raises(SettingError, match="layer: expected an integer from 0 to 1"):
            inspection.attention(layer)
    for k in (0, 258):
        with pytest.raises(SettingError, match="k: expected an integer from 1 to 257"):
            inspection.lens(k)
    with pytest.raises(SettingError, match=r"nothing is called 'decoder_block_7.*decoder_block_0"):
        llama.trace(TEXT, "decoder_block_7/output")
    with pytest.raises(SettingError, match="nothing is called"):
        llama.trace(TEXT, ["logits", "Logits"])


# -- inside ---------------------------------------------------------------------------------


def test_the_last_layer_of_the_lens_is_the_model(read):
    _, inspection, _ = read
    lens = inspection.lens(8)
    best, chances = inspection.alternatives
    np.testing.assert_array_equal(lens.ids[-1], best)
    np.testing.assert_allclose(lens.logprobs[-1], chances, atol=TOLERANCE)
    np.testing.assert_allclose(lens.token_logprobs[-1], inspection.logprobs, atol=TOLERANCE)
    np.testing.assert_array_equal(lens.token_ranks[-1], inspection.ranks)
    np.testing.assert_allclose(lens.entropies[-1], inspection.entropies, atol=TOLERANCE)


def test_every_layer_of_the_lens_is_the_head_on_the_residual_stream(read):
    lm, inspection, _ = read
    lens, trace = inspection.lens(3), lm.trace(TEXT)
    head = jax.jit(lambda stream: lm.backbone.logits(lm.backbone.finish(stream)))
    size = len(inspection.ids)
    assert lens.layers == ("embedding", "decoder_block_0", "decoder_block_1")
    assert lens.ids.shape == lens.logprobs.shape == (3, size + 1, 3)
    for row, layer in enumerate(lens.layers):
        stream = trace[layer if layer == "embedding" else f"{layer}/output"]
        logits = np.asarray(head(stream))
        logprobs = log_softmax(logits)
        assert np.isnan(lens.logprobs[row, 0]).all() and (lens.ids[row, 0] == -1).all()
        highest = -np.sort(-logprobs, -1)[:, :3]
        np.testing.assert_allclose(lens.logprobs[row, 1:], highest, atol=TOLERANCE)
        found = np.take_along_axis(logprobs, lens.ids[row, 1:].astype(int), -1)
        np.testing.assert_allclose(lens.logprobs[row, 1:], found, atol=TOLERANCE)
        own = logprobs[np.arange(size - 1), inspection.ids[1:]]
        np.testing.assert_allclose(lens.token_logprobs[row, 1:-1], own, atol=TOLERANCE)
        ranks = 1 + (logprobs[:-1] > own[:, None] + TOLERANCE).sum(-1)
        assert (lens.token_ranks[row, 1:-1] >= ranks).all()
        np.testing.assert_allclose(lens.entropies[row, 1:], entropy(logits), atol=TOLERANCE)


def test_attention_looks_back_and_adds_up_to_one(read):
    lm, inspection, _ = read
    size = len(inspection.ids)
    trace = lm.trace(TEXT, "*/attention/weights")
    assert list(trace) == [f"decoder_block_{layer}/attention/weights" for layer in range(2)]
    for layer, expected in enumerate(trace.values()):
        weights = inspection.attention(layer)
        assert weights.shape == (4, size, size) and weights.dtype == "float32"
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        assert weights.min() >= 0 and not np.triu(weights, 1).any()
        np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_a_trace_takes_names_and_patterns(llama):
    one = llama.trace(TEXT, "logits")
    assert list(one) == ["logits"] and one["logits"].shape == (len(one.ids), 257)
    some = llama.trace(TEXT, ("embedding", "*_1/mlp/*"))
    assert list(some) == ["embedding", "decoder_block_1/mlp/output"]
    every = llama.trace(TEXT)
    for name, array in some.items():
        np.testing.assert_allclose(array, every[name], atol=1e-5)
    for name, array in every.items():
        assert name in repr(every) and str(array.shape) in repr(every)


def test_adding_up_the_branches_gives_the_residual_stream(llama):
    trace = llama.trace(TEXT)
    stream = trace["embedding"]
    for layer in range(2):
        name = f"decoder_block_{layer}"
        stream = stream + trace[f"{name}/attention/output"] + trace[f"{name}/mlp/output"]
        np.testing.assert_allclose(trace[f"{name}/output"], stream, atol=1e-4)


@pytest.fixture
def compiled():
    """The programs that XLA compiles while the test runs."""
    heard = []

    def listen(event, *_, **__):
        if event == "/jax/core/compile/backend_compile_duration":
            heard.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield heard
    jax.monitoring.unregister_event_duration_listener(listen)


def test_another_place_layer_or_text_of_the_bucket_compiles_nothing(llama, compiled):
    def look(inputs, place, layer):
        inspection = llama.inspect(inputs)
        inspection.distribution(place)
        inspection.lens()
        inspection.attention(layer)
        llama.trace(inputs, "logits")

    look(TEXT, 1, 0)
    compiled.clear()
    look(TEXT[:-2], 5, 1)
    assert compiled == []
    look([1] * 40, 1, 0)
    assert compiled


# -- other weights --------------------------------------------------------------------------


def test_an_adapter_changes_what_is_read_and_a_reading_keeps_its_own():
    lm = lm_of(tiny_backbone("llama", seed=1))
    plain = lm.inspect(TEXT)
    adapter = lm.backbone.adapters.add("a", rank=2, seed=0)
    noise = np.random.default_rng(0)
    updates = {
        path: LowRank(u.a, noise.normal(0, 0.3, u.b.shape).astype("float32"), u.scale)
        for path, u in adapter.updates.items()
    }
    lm.backbone.adapters["a"] = Adapter(adapter.config, updates)
    adapted = lm.inspect(TEXT)
    assert np.nanmax(np.abs(adapted.logprobs - plain.logprobs)) > 0.01
    assert np.abs(adapted.attention(1) - plain.attention(1)).max() > 1e-3
    with lm.backbone.adapters.using(None):
        again = lm.inspect(TEXT)
        np.testing.assert_allclose(again.logprobs, plain.logprobs, atol=1e-5)
    lm.backbone.adapters.merge()
    assert plain.distribution(2).ids[0] == plain.alternatives[0][2, 0]
    with pytest.raises(PromptError, match="read it again"):
        adapted.lens()
    lm.backbone.adapters.unmerge()
    best = plain.distribution(3).ids[0]
    assert best == plain.alternatives[0][3, 0]
    assert adapted.distribution(3).ids[0] == adapted.alternatives[0][3, 0]
    np.testing.assert_allclose(plain.lens(1).entropies[-1], plain.entropies, atol=TOLERANCE)
    assert lm.backbone.adapters.active == "a"
    lm.backbone.adapters.remove("a")
    with pytest.raises(PromptError, match="read it again"):
        adapted.attention(0)
    np.testing.assert_allclose(plain.attention(0).sum(-1), 1, atol=1e-5)


def test_integers_are_read_too():
    lm = lm_of(tiny_backbone("llama", seed=1))
    lm.backbone.quantize("int8")
    inspection = lm.inspect(TEXT)
    logits = whole_logits(lm.backbone, [inspection.ids])[0]
    own = log_softmax(logits)[np.arange(len(inspection.ids) - 1), inspection.ids[1:]]
    np.testing.assert_allclose(inspection.logprobs[1:-1], own, atol=1e-3)
    np.testing.assert_allclose(inspection.lens().entropies[-1, 1:], entropy(logits), atol=1e-3)
    np.testing.assert_allclose(inspection.attention(0).sum(-1), 1, atol=1e-5)


# -- going on from ids ----------------------------------------------------------------------


def test_a_continuation_goes_on_exactly(llama):
    ids = llama.preprocessor.prompt_ids(TEXT)
    for sampler in (GreedySampler(), TopPSampler(p=0.9)):
        job = GenerationJob(
            llama, Continuation(llama, ids), sampler=sampler, max_new_tokens=9, seed=3
        )
        job.run()
        direct = llama.stream(TEXT, sampler=sampler, max_new_tokens=9, seed=3)
        expected = [event.id for event in direct if isinstance(event, Token)]
        assert [token.id for token in job.tokens] == expected
        assert job.stats.prompt_tokens == len(ids)


def test_a_continuation_takes_ids_no_text_is_cut_into(lms):
    lm = lms["gpt2"]
    ids = [*lm.preprocessor.prompt_ids("On"), 256, 0, 256, 7]
    inspection = lm.inspect(ids)
    job = GenerationJob(lm, Continuation(lm, ids), sampler="greedy", max_new_tokens=1)
    job.run()
    assert job.tokens[0].id == inspection.alternatives[0][-1, 0]
    expected = inspection.alternatives[1][-1, 0]
    assert job.tokens[0].logprob == pytest.approx(expected, abs=TOLERANCE)
    for wrong in ([], [257], [1] * 65):
        job = GenerationJob(lm, Continuation(lm, wrong), max_new_tokens=1)
        job.start()
        job.wait()
        assert job.status == "error" and isinstance(job.error, PromptError)


# -- what a sampler keeps -------------------------------------------------------------------


def shares_of(logits, temperature=1.0, top_k=None, top_p=None, min_p=None):
    """The oracle's: what it keeps, renormalised, in the order of `Distribution.ids`."""
    top_p = 1.0 if top_p is None else top_p
    kept = oracle.kept(logits, temperature, top_k or 0, top_p, min_p or 0.0)
    mass = np.zeros(len(logits))
    mass[kept] = oracle.masses(logits, temperature)[kept]
    return (mass / mass.sum())[oracle.ranking(logits)]


grid = st.integers(-8, 8).map(lambda n: n / 4)  # ties galore
smooth = st.floats(-20, 20, width=32, allow_subnormal=False)
rows = st.one_of(*(st.lists(kind, min_size=1, max_size=40) for kind in (grid, smooth)))


@quick(max_examples=150)
@given(
    row=rows,
    temperature=st.sampled_from([0.25, 0.7, 1.0, 2.0]),
    top_k=st.sampled_from([None, 1, 2, 5, 39]),
    top_p=st.sampled_from([None, 0.1, 0.5, 0.9, 0.999]),
    min_p=st.sampled_from([None, 0.05, 0.5]),
)
def test_shares_are_the_oracles(row, temperature, top_k, top_p, min_p):
    logits = np.array(row, "float32")
    distribution = Distribution.of(logits)
    settings = {"temperature": float(np.float32(temperature)), "top_k": top_k}
    shares = distribution.shares(**settings, top_p=top_p, min_p=min_p)
    assert distribution.ids.tolist() == oracle.ranking(logits)
    assert shares.dtype == "float64" and shares.sum() == pytest.approx(1)
    assert np.count_nonzero(shares) <= distribution.kept(**settings, top_p=top_p, min_p=min_p)
    # Where a sum lands on the cut itself, rounding decides: both are right.
    near = [
        shares_of(
            logits, **settings, top_p=top_p and top_p * (1 + d), min_p=min_p and min_p * (1 - d)
        )
        for d in (-1e-6, 0, 1e-6)
    ]
    assert min(np.abs(shares - expected).max() for expected in near) < 1e-6


def test_shares_are_what_the_compiled_chooser_draws(llama):
    distribution = llama.inspect(TEXT).distribution(6)
    logits = np.zeros(257, "float32")
    logits[distribution.ids] = distribution.logits
    number = 20_000
    batch = jnp.broadcast_to(jnp.asarray(logits), (number, 257))
    said = History(jnp.zeros(batch.shape, bool), jnp.zeros(batch.shape, jnp.int32))
    run = jax.jit(choose)
    for settings in (
        {},
        {"temperature": 0.5},
        {"temperature": 2.0, "top_k": 20},
        {"temperature": 1.5, "top_p": 0.8},
        {"top_k": 30, "top_p": 0.9, "min_p": 0.02},
    ):
        sampler = TopPSampler(
            p=settings.get("top_p", 1.0),
            k=settings.get("top_k"),
            temperature=settings.get("temperature", 1.0),
            min_p=settings.get("min_p", 0.0),
        )
        drawn = np.asarray(run(batch, sampler.settings(), np.arange(number), 0, said))
        counts = np.bincount(drawn, minlength=257)[distribution.ids]
        shares = distribution.shares(**settings)
        assert counts[shares == 0].sum() == 0
        spread = np.sqrt(shares * (1 - shares) / number)
        assert (np.abs(counts / number - shares) <= 5 * spread + 2 / number).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_tail_in_bins_is_close(seed):
    logits = np.random.default_rng(seed).normal(0, 2.5, 30_000).astype("float32")
    distribution = Distribution.of(logits)
    assert len(distribution.ids) == len(distribution.logits) == LISTED
    assert distribution.rest_counts.sum() == len(logits) - LISTED
    assert len(distribution.rest_counts) == len(distribution.rest_logits) < 200
    assert (np.diff(np.append(distribution.logits, distribution.rest_logits)) <= 0).all()
    exact = oracle.masses(logits, 1.0)[oracle.ranking(logits)]
    binned = (np.exp(distribution.rest_logits.astype("float64")) * distribution.rest_counts).sum()
    assert binned == pytest.approx(exact[LISTED:].sum(), rel=0.008)
    for settings, most in (
        ({}, 0.01),
        ({"temperature": 0.5}, 0.01),
        ({"temperature": 2.0, "top_p": 0.95}, 0.02),
        ({"top_k": 3000}, 0.01),
        ({"min_p": 0.001}, 0.02),
    ):
        expected = shares_of(logits, **settings)
        found = distribution.shares(**settings)
        np.testing.assert_allclose(found, expected[:LISTED], rtol=most)
        kept = np.count_nonzero(expected)
        assert distribution.kept(**settings) == pytest.approx(kept, rel=0.1)


def test_what_is_expected_at_a_place_is_the_models(read):
    _, inspection, logits = read
    for place in (1, 5, len(inspection.ids)):
        distribution = inspection.distribution(place)
        row = logits[place - 1]
        assert distribution.logits[0] == 0 and len(distribution.rest_counts) == 0
        assert len(distribution.ids) == 257
        np.testing.assert_allclose(
            distribution.logits, row[distribution.ids] - row.max(), atol=1e-4
        )
        np.testing.assert_allclose(
            np.log(distribution.shares()), log_softmax(row)[distribution.ids], atol=1e-4
        )


def test_impossible_tokens_are_never_drawn():
    row = np.array([1.0, -np.inf, 0.0, -np.inf], "float32")
    distribution = Distribution.of(row)
    assert distribution.shares(temperature=3).tolist()[2:] == [0, 0]
    assert distribution.shares(temperature=0).tolist() == [1, 0, 0, 0]
    for wrong in ({"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"top_p": 2}, {"min_p": 2}):
        with pytest.raises(SettingError, match=next(iter(wrong)).removeprefix("top_")):
            distribution.shares(**wrong)


def test_what_samplers_do_at_temperature_0_is_said_at_place_t(llama):
    inspection = llama.inspect(TEXT)
    job = GenerationJob(
        llama,
        Continuation(llama, inspection.ids),
        sampler=RandomSampler(temperature=0),
        max_new_tokens=1,
    )
    job.run()
    shares = inspection.distribution(len(inspection.ids)).shares(temperature=0)
    assert job.tokens[0].id == inspection.distribution(len(inspection.ids)).ids[np.argmax(shares)]
