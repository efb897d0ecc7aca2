"""The logit lens: the head's predictions from the residual stream after every layer.

Source: nostalgebraist, "interpreting GPT: the logit lens", 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from workbench.generation.programs import Programs
from workbench.inspection.measure import Measures, measure
from workbench.inspection.subject import Given, Subject


@dataclass(frozen=True, eq=False)
class Lens:
    """Predictions of L layers at the T + 1 places of a text: before the first block, and after
    every block. The last layer's are the model's own distributions.

    Attributes:
        layers: names as in a `Trace`, `"embedding"` and `"decoder_block_0"` onwards, (L,).
        ids: int32 (L, T + 1, k), the likeliest tokens, best first; -1 at place 0.
        logprobs: float32 (L, T + 1, k), their natural log-probabilities; NaN at place 0.
        token_logprobs: float32 (L, T + 1), of the actual token; NaN at places 0 and T, and at the
            places of a picture.
        token_ranks: int32 (L, T + 1), its rank, 1 the likeliest; 0 where there is no token.
        entropies: float32 (L, T + 1) in nats; NaN at place 0.
    """

    layers: tuple[str, ...]
    ids: np.ndarray
    logprobs: np.ndarray
    token_logprobs: np.ndarray
    token_ranks: np.ndarray
    entropies: np.ndarray


def at_places(found: Measures[np.ndarray], pictured: np.ndarray) -> Measures[np.ndarray]:
    """Return host arrays by place, (..., T + 1, ...), from measures by the token before,
    (..., T, ...).

    There is no prediction at place 0, and no token at place T or where the text is `pictured`,
    bool (T,).
    """
    axis = found.entropies.ndim - 1

    def after(part: np.ndarray, nothing: float) -> np.ndarray:
        empty = np.full_like(np.take(part, [0], axis), nothing)
        return np.concatenate([empty, part], axis)

    nothing = (-1, np.nan, np.nan, 0, np.nan)
    places = Measures(*map(after, found, nothing))
    tokenless = np.append(pictured, True)
    places.token_logprobs[..., tokenless], places.token_ranks[..., tokenless] = np.nan, 0
    return places


def look(subject: Subject, count: int) -> Lens:
    """Return the lens over one text, with the `count` likeliest tokens of each place."""
    layers = ("embedding", *(str(block.path) for block in subject.programs.backbone.blocks))
    numbers = 3 * len(layers) * subject.sizes.width
    found = jax.device_get(subject.run("lens", count, _make, numbers=numbers))
    shaped = (
        part.reshape(len(layers), -1, *part.shape[1:])[:, : len(subject.ids)] for part in found
    )
    places = at_places(Measures(*shaped), subject.pictured)
    return Lens(
        layers,
        places.ids,
        places.logprobs,
        places.token_logprobs,
        places.token_ranks,
        places.entropies,
    )


def _make(programs: Programs, count: int) -> Callable[[Given], Measures]:
    backbone = programs.backbone

    def run(given: Given) -> Measures:
        names = ("embedding", *(f"{block.path}/output" for block in backbone.blocks))
        with given.read(programs, *names) as (_, seen):
            stream = jnp.concatenate([seen[name][0] for name in names])
            tokens = jnp.tile(jnp.roll(given.ids[0], -1), len(names))
            return measure(backbone, backbone.finish(stream), tokens, count)

    return run
