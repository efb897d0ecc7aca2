"""A text read place by place: the model's prediction and the actual token."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from workbench.generation.programs import Programs
from workbench.inspection.distribution import Distribution
from workbench.inspection.lens import Lens, at_places, look
from workbench.inspection.measure import Measures, measure
from workbench.inspection.subject import Given, Subject
from workbench.kinds import integer
from workbench.samplers.choose import finite

ALTERNATIVES = 8


class Inspection:
    """A text of T tokens as a model reads it, at its places 0 to T.

    Place t is token t, counted from 0, and the distribution that the model predicts for it from
    the tokens before. Place 0 has no distribution, because no token is before it; place T is the
    token that would come next.

    Attributes:
        ids: int32 (T,).
        pieces: the tokens as text, (T,).
        logprobs: float32 (T + 1,), natural log-probability of the token; NaN at places 0 and T,
            and at the places of a picture.
        ranks: int32 (T + 1,), its rank, 1 the likeliest; 0 where there is no token.
        entropies: float32 (T + 1,), of the distribution, in nats; NaN at place 0.
        alternatives: ids int32 (T + 1, A) and log-probabilities float32 (T + 1, A) of the A = 8
            likeliest tokens, best first; -1 and NaN at place 0.

    All results use the weights that read the text, whatever adapter is used afterwards.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        backbone = subject.programs.backbone
        count = min(ALTERNATIVES, backbone.config.vocabulary_size)
        hidden, found = subject.run("places", count, _make_reader)
        self._hidden = hidden
        found = jax.device_get(found)
        rows = Measures(*(part[: len(subject.ids)] for part in found))
        places = at_places(rows, subject.pictured)
        self.ids, self.pieces = subject.ids, subject.pieces
        self.alternatives = places.ids, places.logprobs
        self.logprobs, self.ranks = places.token_logprobs, places.token_ranks
        self.entropies = places.entropies

    def __repr__(self) -> str:
        known = self.logprobs[np.isfinite(self.logprobs)]
        mean = f", mean log-probability {known.mean():.2f}" if len(known) else ""
        return f"Inspection of {len(self.ids)} tokens{mean}"

    @property
    def layers(self) -> int:
        """The number of the model's blocks."""
        return len(self._subject.programs.backbone.blocks)

    def piece(self, token_id: int) -> str:
        """Return a token of the vocabulary as text."""
        return self._subject.piece(token_id)

    def distribution(self, place: int) -> Distribution:
        """Return the model's prediction at a place.

        Args:
            place: from 1 to T.

        Raises:
            SettingError: there is no such place, or no prediction there.
            PromptError: the weights of this reading have been overwritten by training.
        """
        integer(1, len(self.ids)).check("distribution: place", place)
        head = self._subject.programs.others("logits", 0, _make_head)
        row = np.int32(place - 1)
        return Distribution.of(np.asarray(head(self._subject.weights(), self._hidden, row)))

    def lens(self, k: int = 5) -> Lens:
        """Return the logit lens: the predictions of the final norm and head from the residual
        stream after every layer, with the k likeliest tokens of each place.

        Raises:
            SettingError: `k` is below 1 or above the vocabulary.
            PromptError: as `distribution`.
        """
        vocabulary = self._subject.programs.backbone.config.vocabulary_size
        integer(1, vocabulary).check("lens: k", k)
        return look(self._subject, int(k))

    def attention(self, layer: int) -> np.ndarray:
        """Return the attention weights of a block, 0 to `layers` - 1: float32 (heads, T, T), query
        by key.

        Raises:
            SettingError: there is no such layer.
            PromptError: as `distribution`.
        """
        integer(0, self.layers - 1).check("attention: layer", layer)
        subject, read = self._subject, (_make_weights, np.int32(layer))
        several = 3 * subject.sizes.heads * len(self.ids)
        weights = subject.run("weights", 0, *read, numbers=several)
        return np.asarray(weights)[:, : len(self.ids), : len(self.ids)]


def _make_reader(programs: Programs, count: int) -> Callable[[Given], tuple[jax.Array, Measures]]:
    def run(given: Given) -> tuple[jax.Array, Measures]:
        """Return the hidden states (P, width), and the measures of the token after each."""
        with given.read(programs) as (hidden, _):
            tokens = jnp.roll(given.ids[0], -1)
            return hidden[0], measure(programs.backbone, hidden[0], tokens, count)

    return run


def _make_head(programs: Programs, _: int) -> Callable[..., jax.Array]:
    def run(parameters: list[jax.Array], hidden: jax.Array, row: jax.Array) -> jax.Array:
        with programs.holding(parameters):
            return finite(programs.backbone.logits(hidden[row][None]))[0]

    return jax.jit(run)


def _make_weights(programs: Programs, _: int) -> Callable[[Given, jax.Array], jax.Array]:
    names = [f"{block.path}/attention/weights" for block in programs.backbone.blocks]

    def run(given: Given, layer: jax.Array) -> jax.Array:
        """Return one layer's attention weights. One program serves all layers; it holds the weights
        of one at a time."""
        with given.read(programs, *names) as (_, seen):
            shares = [jnp.where(layer == i, seen[name][0], 0.0) for i, name in enumerate(names)]
            return sum(shares[1:], start=shares[0])

    return run
