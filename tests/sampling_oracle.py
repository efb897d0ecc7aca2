"""The slow, obvious version of the sampling step: sort, add up, cut. Float64, one row at a time."""

import numpy as np


def penalised(logits, prompt, counts, repetition, presence, frequency):
    out = np.array(logits, "float64")
    for token in range(len(out)):
        if prompt[token] or counts[token]:
            out[token] = out[token] / repetition if out[token] > 0 else out[token] * repetition
        out[token] -= presence * (counts[token] > 0) + frequency * counts[token]
    return out


def ranking(logits):
    """Token ids by falling logit, equal ones by rising id."""
    return list(np.argsort(-np.asarray(logits, "float64"), kind="stable"))


def masses(logits, temperature):
    """Unnormalised probabilities; the largest is 1."""
    logits = np.asarray(logits, "float64")
    top = logits.max() if np.isfinite(logits.max()) else 0.0
    return np.exp((logits - top) / temperature)


def kept(logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0):
    """The tokens that may be drawn, best first."""
    mass = masses(logits, temperature)
    tokens = ranking(logits)
    if top_k:
        tokens = tokens[:top_k]
    if top_p < 1:
        reached = np.cumsum(mass[tokens]) >= top_p * mass[tokens].sum()
        tokens = tokens[: int(np.argmax(reached)) + 1]
    return [token for token in tokens if mass[token] >= min_p * mass.max()]
