"""Writes `tests/data/cuts.json`: rows of logits, the settings of a sampler, and what they keep by
the slow float64 reference of `sampling_oracle`. Every implementation of the cuts is tested with it.

    python tests/make_cuts.py

A case has `logits` (null is minus infinity), `settings` (float32; what is not there is off),
`kept`, the ids that can be drawn, best first, and `probabilities`, of those ids. Cases with
penalties have `prompt` and `counts` too: for each token whether the prompt holds it, and how often
it was generated.
"""

import json
from pathlib import Path

import numpy as np
import sampling_oracle as oracle

PATH = Path(__file__).parent / "data" / "cuts.json"
INF = float("inf")
PENALTIES = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
MARGIN = 1e-4  # how near to its threshold, in parts of it, no case but an exact one may come


def rounded(settings):
    """The settings as the sampler has them: float32, but for integers."""
    return {n: v if isinstance(v, int) else float(np.float32(v)) for n, v in settings.items()}


def kept_by(logits, settings, slack=0.0):
    """The possible tokens that the cuts keep; `slack` moves top-p and min-p by that part."""
    temperature = settings.get("temperature", 1.0)
    if temperature == 0:
        return [int(oracle.ranking(logits)[0])]
    top_p, min_p = settings.get("top_p", 1.0), settings.get("min_p", 0.0)
    if top_p < 1:
        top_p *= 1 + slack
    kept = oracle.kept(logits, temperature, settings.get("top_k", 0), top_p, min_p * (1 - slack))
    return [int(token) for token in kept if np.isfinite(logits[token])]


def probabilities_of(logits, kept, temperature):
    """The probability of each kept token."""
    mass = oracle.masses(logits, temperature or 1.0)[kept]
    return [float(share) for share in mass / mass.sum()]


def case_of(name, logits, settings, prompt=None, counts=None, exact=False):
    """A case of the file. One that is not `exact` must keep the same tokens with thresholds moved
    by the margin, so that rounding decides nothing."""
    row, settings = np.asarray(logits, np.float32).astype(float), rounded(settings)
    penalised = row
    if prompt is not None:
        penalties = [settings.get(n, off) for n, off in PENALTIES.items()]
        penalised = oracle.penalised(row, prompt, counts, *penalties)
    kept = kept_by(penalised, settings)
    if not exact:
        near = [kept_by(penalised, settings, slack) for slack in (-MARGIN, MARGIN)]
        assert near == [kept, kept], f"{name}: rounding would decide"
    found = {
        "name": name,
        "logits": [None if logit == -INF else logit for logit in row],
        "settings": settings,
        "kept": kept,
        "probabilities": probabilities_of(penalised, kept, settings.get("temperature", 1.0)),
    }
    return found if prompt is None else {**found, "prompt": prompt, "counts": counts}


ROW = [1.0, 3.0, 2.5, -1.0, 0.25, 2.0, -4.0, 0.5]
TIED = [1.0, 3.0, 3.0, 2.0, 3.0, 0.0]
HOLED = [-INF, 2.0, -INF, 1.5, -INF, 0.0]


def plain_cases():
    """Each cut by itself, and its ends."""
    yield case_of("nothing is cut", ROW, {})
    yield case_of("temperature below 1 sharpens", ROW, {"temperature": 0.25})
    yield case_of("temperature above 1 flattens", ROW, {"temperature": 8.0})
    yield case_of("temperature 0 takes the likeliest", ROW, {"temperature": 0.0})
    yield case_of("top-k", ROW, {"top_k": 3})
    yield case_of("top-k of one", ROW, {"top_k": 1})
    yield case_of("top-k of the whole vocabulary", ROW, {"top_k": 8})
    yield case_of("top-k beyond the vocabulary", ROW, {"top_k": 1000})
    yield case_of("top-p", ROW, {"top_p": 0.8})
    yield case_of("a vanishing top-p keeps one", ROW, {"top_p": 1e-30})
    yield case_of("a large top-p", ROW, {"top_p": 0.995})
    yield case_of("min-p", ROW, {"min_p": 0.2})
    yield case_of("a large min-p keeps the likeliest", ROW, {"min_p": 0.99})
    yield case_of("a small min-p", ROW, {"min_p": 0.005})


def tied_cases():
    """Equal logits: the lowest id comes first."""
    yield case_of("temperature 0 of ties", TIED, {"temperature": 0.0})
    yield case_of("top-k through ties", TIED, {"top_k": 2})
    yield case_of("top-p through ties", TIED, {"top_p": 0.5})
    yield case_of("min-p keeps all ties", TIED, {"min_p": 0.9})
    yield case_of("all equal, top-k", [0.5] * 7, {"top_k": 3})
    yield case_of("all equal, top-p reached exactly", [0.0] * 8, {"top_p": 0.25}, exact=True)
    yield case_of("all equal, top-p between", [0.0] * 8, {"top_p": 0.3})
    yield case_of("the two zeros are equal", [-0.0, 0.0, -0.0, -1.0], {"top_k": 2})


def extreme_cases():
    """Minus infinity, large and small numbers, one token."""
    yield case_of("impossible tokens", HOLED, {})
    yield case_of("impossible tokens, top-k beyond the possible", HOLED, {"top_k": 5})
    yield case_of("impossible tokens, top-p", HOLED, {"top_p": 0.7})
    yield case_of("one possible token", [-INF, -INF, -7.0, -INF], {"top_p": 0.5, "min_p": 0.5})
    yield case_of("one token", [4.0], {})
    yield case_of("one token, every cut", [4.0], {"top_k": 1, "top_p": 0.1, "min_p": 0.9})
    yield case_of("one token at temperature 0", [4.0], {"temperature": 0.0})
    yield case_of("large logits", [3e38, 2e38, -3e38], {"top_p": 0.9})
    yield case_of("close large logits", [60000.0, 59999.0, 59998.0, 0.0], {"top_p": 0.9})
    yield case_of("a tiny temperature", ROW, {"temperature": 1e-30, "top_p": 0.9, "min_p": 0.5})
    yield case_of("a huge temperature", ROW, {"temperature": 1e30, "top_p": 0.55})


def combined_cases():
    """Cuts in their order: top-p is of what top-k left, min-p of the largest probability."""
    yield case_of("top-p of what top-k left", ROW, {"top_k": 3, "top_p": 0.76})
    yield case_of("temperature before top-p", ROW, {"temperature": 3.0, "top_p": 0.65})
    yield case_of("temperature before min-p", ROW, {"temperature": 3.0, "min_p": 0.5})
    every = {"temperature": 1.5, "top_k": 6, "top_p": 0.95, "min_p": 0.2}
    yield case_of("every cut", ROW, every)
    yield case_of("every cut through ties", TIED, {**every, "top_k": 4, "top_p": 0.6})
    yield case_of("temperature 0 and every cut", ROW, {**every, "temperature": 0.0})
    noise = np.random.default_rng(14)
    for size in (17, 64):
        row = np.round(noise.gumbel(scale=2, size=size) * 8) / 8
        yield case_of(f"{size} tokens, top-k and top-p", row, {"top_k": 9, "top_p": 0.85})
        yield case_of(f"{size} tokens, every cut", row, {**every, "top_k": 12, "min_p": 0.03})


def penalised_cases():
    """Penalties come first, and change what the cuts keep."""
    prompt = [False, True, False, True, False, False, False, False]
    counts = [0, 0, 2, 0, 1, 0, 0, 3]
    penalties = {"repetition_penalty": 1.5, "presence_penalty": 0.5, "frequency_penalty": 0.25}
    for name, value in penalties.items():
        yield case_of(f"{name} alone", ROW, {name: value}, prompt, counts)
    yield case_of("every penalty", ROW, penalties, prompt, counts)
    cuts = {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "min_p": 0.1}
    yield case_of("penalties, then every cut", ROW, {**penalties, **cuts}, prompt, counts)
    greedy = {**penalties, "temperature": 0.0}
    yield case_of("penalties at temperature 0", ROW, greedy, prompt, counts)
    rewarded = {"presence_penalty": -2.0, "repetition_penalty": 0.5, "top_k": 2}
    yield case_of("penalties that reward", ROW, rewarded, prompt, counts)


def all_cases():
    """Every case, in the order of the file."""
    made = plain_cases, tied_cases, extreme_cases, combined_cases, penalised_cases
    return [case for cases in made for case in cases()]


def text_of(cases):
    """The file, a case a line."""
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"


def read_cases():
    """The cases of the file."""
    return json.loads(PATH.read_text())


def logits_of(case):
    """Its logits, float32."""
    return np.array([-INF if logit is None else logit for logit in case["logits"]], np.float32)


if __name__ == "__main__":
    PATH.write_text(text_of(all_cases()))
