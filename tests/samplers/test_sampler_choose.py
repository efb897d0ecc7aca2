"""The universal sampling step against the slow version, on the awkward inputs, and its promises:
rows do not see each other, settings do not retrace."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import sampling_oracle as oracle
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from workbench.samplers import History, StepSettings, TopKSampler, TopPSampler
from workbench.samplers.choose import choose, kept, prepare, scale
from workbench.samplers.history import penalise

INF = float("inf")
TINIEST = np.finfo("float32").tiny  # smaller numbers may be rounded to 0
WIDTH = 24
quick = partial(profile, deadline=None, database=None, derandomize=True)


@jax.jit
def kept_of(logits, settings):
    return kept(logits, scale(logits, settings.temperature), settings)


@jax.jit
def chosen(logits, settings, seeds, step, history):
    return choose(logits, settings, seeds, step, history)


penalised = jax.jit(penalise)


def make(**values):
    names = StepSettings._fields
    return StepSettings(
        *(
            np.asarray(values.get(n, d), d.dtype)[()]
            for n, d in zip(names, StepSettings(), strict=True)
        )
    )


def nothing_said(logits):
    return History(np.zeros(logits.shape, bool), np.zeros(logits.shape, "int32"))


def draw(logits, seeds=0, step=0, **values):
    """A token per row. Rows are filled up to one width, so that few programs are compiled."""
    logits = np.atleast_2d(np.asarray(logits, "float32"))
    if 1 < logits.shape[1] < WIDTH:
        space = [(0, 0), (0, WIDTH - logits.shape[1])]
        logits = np.pad(logits, space, constant_values=-INF)
    seeds = np.broadcast_to(np.asarray(seeds, "uint32"), len(logits))
    step = np.asarray(step, "int32")
    return np.asarray(chosen(logits, make(**values), seeds, step, nothing_said(logits)))


def draws(logits, number=2000, **values):
    """Many tokens from one row of logits."""
    rows = np.broadcast_to(np.asarray(logits, "float32"), (number, len(logits)))
    return draw(rows, np.arange(number), **values)


def near(value, sign):
    return value * (1 + sign * 1e-5)


sizes = st.sampled_from([1, WIDTH])
grid = st.integers(-8, 8).map(lambda n: n / 4)  # ties galore
smooth = st.floats(-30, 30, width=32, allow_subnormal=False)
rows = sizes.flatmap(
    lambda size: st.one_of(
        *(
            st.lists(kind, min_size=size, max_size=size)
            for kind in (grid, smooth, grid | st.just(-INF), smooth | st.just(-INF))
        )
    )
)


@quick(max_examples=200)
@given(
    row=rows,
    temperature=st.sampled_from([0.1, 0.7, 1.0, 3.0]),
    top_k=st.sampled_from([0, 1, 2, 5, 24, 1000]),
    top_p=st.sampled_from([1e-30, 0.1, 0.5, 0.9, 0.999, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.5, 0.99]),
)
def test_kept_tokens_are_the_oracles(row, temperature, top_k, top_p, min_p):
    logits = np.asarray(row, "float32")
    temperature, top_p, min_p = (float(np.float32(x)) for x in (temperature, top_p, min_p))
    values = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    got = np.flatnonzero(kept_of(logits[None], make(**values))[0])
    order = oracle.ranking(logits)
    assert sorted(order[: len(got)]) == list(got)  # always a leading part
    fewest = oracle.kept(logits, temperature, top_k, near(top_p, -1), near(min_p, 1))
    most = oracle.kept(
        logits, temperature, top_k, near(top_p, 1) if top_p < 1 else 1.0, near(min_p, -1)
    )
    possible = np.isfinite(logits).sum()  # of impossible tokens any number may stay
    assert min(len(fewest), possible) <= len(got)
    assert min(len(got), possible) <= len(most)


@quick(max_examples=100)
@given(row=rows, k=st.integers(1, 30))
def test_top_k_keeps_exactly_k(row, k):
    logits = np.asarray(row, "float32")
    got = np.flatnonzero(kept_of(logits[None], make(top_k=k))[0])
    assert list(got) == sorted(oracle.ranking(logits)[:k])


@quick(max_examples=100)
@given(row=rows, seed=st.integers(0, 2**32 - 1), temperature=st.sampled_from([1e-30, 1.0, 1e38]))
def test_one_candidate_is_greedy(row, seed, temperature):
    best = oracle.ranking(np.asarray(row, "float32"))[0]
    assert draw(row, seed, temperature=0) == best
    assert draw(row, seed, temperature=temperature, top_k=1) == best
    assert draw(row, seed, temperature=temperature, top_p=1e-45) == best


@quick(max_examples=100)
@given(
    row=st.lists(smooth | st.just(-INF), min_size=9, max_size=9),
    prompt=st.lists(st.booleans(), min_size=9, max_size=9),
    counts=st.lists(st.integers(0, 3), min_size=9, max_size=9),
    penalties=st.tuples(*(st.sampled_from(v) for v in ([1, 1.3, 0.5], [0, 0.7, -1], [0, 0.4]))),
)
def test_penalties_are_the_oracles(row, prompt, counts, penalties):
    history = History(np.array([prompt]), np.array([counts], "int32"))
    values = make(**dict(zip(StepSettings._fields[4:], penalties, strict=True)))
    got = penalised(np.asarray([row], "float32"), values, history)[0]
    repetition, presence, frequency = penalties
    repeated = oracle.penalised(row, prompt, counts, repetition, 0, 0)
    wanted = oracle.penalised(row, prompt, counts, repetition, presence, frequency)
    # Two numbers that nearly cancel leave the rounding of both: it is measured by their size.
    size = np.nan_to_num(np.abs(repeated), posinf=0)
    size += abs(presence) + frequency * np.asarray(counts)
    assert np.all(np.isclose(got, wanted, rtol=0, atol=1e-6 * size + TINIEST))


def test_large_vocabulary():
    logits = np.random.default_rng(0).normal(size=(2, 50_000)).astype("float32") * 3
    logits[1] = np.round(logits[1])  # thousands of ties
    for values in ({"top_k": 40}, {"top_p": 0.9}, {"top_k": 5000, "top_p": 0.5, "min_p": 0.01}):
        got = np.asarray(kept_of(logits, make(**values)))
        for row in range(2):
            wanted = oracle.kept(logits[row], **values)
            assert abs(got[row].sum() - len(wanted)) <= 2e-4 * len(wanted)
            assert sorted(oracle.ranking(logits[row])[: got[row].sum()]) == list(
                np.flatnonzero(got[row])
            )


def test_draws_follow_the_distribution():
    logits = np.log([0.5, 0.25, 0.15, 0.1])
    for temperature in (0.5, 1.0, 2.0):
        expected = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        found = np.bincount(draws(logits, temperature=temperature), minlength=4) / 2000
        np.testing.assert_allclose(found, expected, atol=0.04)


def test_draws_stay_within_the_cuts_and_reach_all_of_them():
    logits = np.log([0.4, 0.3, 0.15, 0.1, 0.05])
    assert set(draws(logits, top_k=3)) == {0, 1, 2}
    assert set(draws(logits, top_p=0.6)) == {0, 1}  # 0.4 does not reach 0.6, so 0.3 stays too
    assert set(draws(logits, top_k=3, top_p=0.6)) == {0, 1}
    assert set(draws(logits, min_p=0.3)) == {0, 1, 2}
    assert set(draws(logits)) == {0, 1, 2, 3, 4}


def test_top_p_counts_what_top_k_left():
    logits = np.log([0.3, 0.3, 0.2, 0.2])
    assert set(draws(logits, top_p=0.55)) == {0, 1}
    assert set(draws(logits, top_k=2, top_p=0.4)) == {0}  # 0.3 of 0.6


def test_ties_break_by_lowest_id():
    tied = [1.0, 2.0, 2.0, 2.0, 2.0]
    assert draw(tied, temperature=0) == 1
    assert set(draws(tied, top_k=2)) == {1, 2}
    assert set(draws(tied, top_k=3, top_p=0.5)) == {1, 2}
    assert draw([0.0, -0.0], temperature=0) == draw([-0.0, 0.0], temperature=0) == 0
    assert set(draws([-0.0, 0.0], top_k=1)) == {0}


def test_impossible_tokens_are_never_drawn():
    row = [-INF, 0.0, -INF, -1.0]
    assert set(draws(row)) == {1, 3}
    assert set(draws(row, temperature=3e38)) == {1, 3}
    assert set(draws(row, top_k=4, top_p=0.9999)) == {1, 3}


def test_degenerate_rows_still_give_a_token():
    nan = float("nan")
    for row in ([3.0], [-INF], [-INF, -INF], [nan, nan]):
        for values in ({}, {"temperature": 0}, {"top_k": 1}, {"top_p": 0.5, "min_p": 0.5}):
            assert draw(row, **values) == 0
    for values in ({}, {"temperature": 0}, {"top_p": 0.5}):
        assert draw([0.0, INF, nan], **values) == 1


def test_a_row_alone_draws_what_it_draws_in_a_batch():
    logits = np.random.default_rng(1).normal(size=(2000, WIDTH)).astype("float32")
    seeds, steps = np.arange(2000, dtype="uint32") * 7, np.arange(2000, dtype="int32") % 9
    history = History(logits > 1, np.int32(logits < -1))
    values = make(top_k=20, top_p=0.9, repetition_penalty=1.2)
    together = chosen(logits, values, seeds, steps, history)
    for row in (0, 1, 77, 1999):
        one = slice(row, row + 1)
        part = History(history.prompt[one], history.counts[one])
        assert chosen(logits[one], values, seeds[one], steps[row], part)[0] == together[row]


def test_noise_comes_from_seed_and_step():
    flat = np.zeros((2000, WIDTH))
    assert list(draw(flat, 1, 5)) == [draw(flat[0], 1, 5)[0]] * 2000
    assert np.mean(draw(flat, np.arange(2000), 5) == draw(flat, 1, 5)) < 0.1
    assert np.mean(draw(flat, 1, np.arange(2000)) == draw(flat, 1, 5)) < 0.1


def test_no_setting_retraces():
    traces = 0

    @jax.jit
    def step(logits, settings, seeds, step, history):
        nonlocal traces
        traces += 1
        return choose(logits, settings, seeds, step, history)

    logits = np.zeros((1, WIDTH), "float32")
    sampler, other = TopPSampler(p=0.9), TopKSampler(k=3)
    for number in range(5):
        sampler.temperature, sampler.p, other.k = number / 2, (number + 1) / 9, number + 1
        sampler.k = None if number % 2 else 7
        other.repetition_penalty, other.frequency_penalty, other.min_p = 1.5, number, number / 5
        for one in (sampler, other):
            seeds = np.full(1, number, "uint32")
            step(logits, one.settings(), seeds, np.int32(number), nothing_said(logits))
    assert traces == 1


@jax.jit
def told(ids, mask, first, second, active):
    return History.start(ids, mask, WIDTH).add(first).add(second, active)


def test_history_counts_prompt_and_completion_apart():
    ids, mask = np.array([[3, 1, 0, 0], [2, 0, 0, 0]]), np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    pairs, active = np.array([[1, 1], [2, 2]]), np.array([[True, True], [True, False]])
    history = told(ids, mask, np.array([4, 4]), pairs, active)
    assert [list(np.flatnonzero(row)) for row in history.prompt] == [[1, 3], [2]]
    assert history.counts[:, :6].tolist() == [[0, 2, 0, 0, 1, 0], [0, 0, 1, 0, 1, 0]]


def test_repetition_covers_the_prompt_and_presence_does_not():
    logits = np.full((1, WIDTH), -INF, "float32")
    logits[0, :3] = 2.0, 1.5, -1.0
    prompt_only = History(np.eye(1, WIDTH, dtype=bool), np.zeros((1, WIDTH), "int32"))
    once = prompt_only._replace(counts=np.eye(1, WIDTH, dtype="int32"))
    seeds, step = np.zeros(1, "uint32"), np.int32(0)
    repetition = make(temperature=0, repetition_penalty=2.0)
    presence = make(temperature=0, presence_penalty=2.0)
    assert chosen(logits, repetition, seeds, step, prompt_only) == 1
    assert chosen(logits, presence, seeds, step, prompt_only) == 0
    assert chosen(logits, presence, seeds, step, once) == 1


def test_prepare_leaves_no_nan_and_no_plus_infinity():
    logits = np.array([[float("nan"), INF, -INF, 1.0]], "float32")
    for kind in (jnp.float32, jnp.bfloat16):
        out = prepare(jnp.asarray(logits, kind), make(), nothing_said(logits))
        assert out.dtype == jnp.float32
        assert out[0, 0] == out[0, 2] == -INF and np.isfinite(out[0, 1]) and out[0, 3] == 1
