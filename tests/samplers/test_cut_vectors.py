"""The sampling step against `tests/data/cuts.json`, eager and compiled."""

import jax
import jax.numpy as jnp
import make_cuts
import numpy as np
import pytest

from workbench.samplers import History, StepSettings
from workbench.samplers.choose import choose, kept, prepare, scale
from workbench.samplers.step_settings import scalar_of

CASES = make_cuts.read_cases()
CUT = [case for case in CASES if case["settings"].get("temperature") != 0]  # 0 takes one, uncut
WIDTH = max(len(case["logits"]) for case in CASES)
DRAWS = 64


def padded(values, filler):
    """A row of one width for all cases, so that one program is compiled."""
    return np.array([[*values, *[filler] * (WIDTH - len(values))]])


def arguments(case):
    logits = padded(make_cuts.logits_of(case), -np.inf).astype(np.float32)
    none = [0] * len(case["logits"])
    prompt = padded(case.get("prompt", none), 0).astype(bool)
    counts = padded(case.get("counts", none), 0).astype(np.int32)
    settings = {name: scalar_of(name, value) for name, value in case["settings"].items()}
    return jnp.asarray(logits), StepSettings(**settings), History(prompt, counts)


def shares(logits, settings, history):
    """Which tokens the cuts keep, and the probability of each."""
    prepared = prepare(logits, settings, history)
    scaled = scale(prepared, settings.temperature)
    mask = kept(prepared, scaled, settings)
    return mask & (prepared > -jnp.inf), jax.nn.softmax(jnp.where(mask, scaled, -jnp.inf))


@pytest.fixture(scope="module", params=["eager", "jit"])
def run(request):
    return shares if request.param == "eager" else jax.jit(shares)


@pytest.fixture(scope="module", params=["eager", "jit"])
def draw(request):
    return choose if request.param == "eager" else jax.jit(choose)


def test_the_file_is_what_its_script_makes():
    assert make_cuts.PATH.read_text() == make_cuts.text_of(make_cuts.all_cases())


@pytest.mark.parametrize("case", CUT, ids=lambda case: case["name"])
def test_what_is_kept_and_its_probabilities(run, case):
    mask, probabilities = (np.asarray(part)[0] for part in run(*arguments(case)))
    assert np.flatnonzero(mask).tolist() == sorted(case["kept"])
    np.testing.assert_allclose(
        probabilities[case["kept"]], case["probabilities"], rtol=2e-5, atol=1e-7
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_drawn(draw, case):
    logits, settings, history = arguments(case)
    rows = jnp.broadcast_to(logits, (DRAWS, WIDTH))
    said = History(*(jnp.broadcast_to(part, (DRAWS, WIDTH)) for part in history))
    drawn = np.asarray(draw(rows, settings, jnp.arange(DRAWS, dtype=jnp.uint32), 0, said))
    assert set(drawn.tolist()) <= set(case["kept"])
    likely = [
        token for token, p in zip(case["kept"], case["probabilities"], strict=True) if p > 0.25
    ]
    assert set(likely) <= set(drawn.tolist())  # (1 - 0.25) ** 64 is 1e-8
