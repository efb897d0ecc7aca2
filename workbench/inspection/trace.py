"""Named arrays from reading a text: attention weights, branches, the residual stream, logits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import jax
import jax.numpy as jnp
import numpy as np

from workbench.backbones.observing import observed
from workbench.errors import SettingError
from workbench.generation.programs import Programs
from workbench.inspection.subject import Given, Maker, Subject
from workbench.kinds import NOTHING, TEXT, list_of

LOGITS = "logits"


class Trace(Mapping[str, np.ndarray]):
    """The values of a model's layers for one text of T tokens: NumPy arrays by name, in the order
    in which the model computes them, without batch axis and padding; floats are float32.

    | name | shape | |
    |---|---|---|
    | `embedding` | (T, width) | input of the first block |
    | `decoder_block_0/attention/weights` | (heads, T, T) | query by key; each row sums to 1 |
    | `decoder_block_0/attention/output` | (T, width) | the attention branch |
    | `decoder_block_0/mlp/output` | (T, width) | the feed-forward branch |
    | `decoder_block_0/output` | (T, width) | the residual stream after the block |
    | `final_norm/output` | (T, width) | input of the head |
    | `logits` | (T, vocabulary) | row t is for the token after t |

    Branches are taken before any norm that the family applies to them. Encoder-decoders also have
    `encoder_block_0/...` and `decoder_block_0/cross_attention/...`; models that read pictures have
    `image_encoder/block_0/...`, whose first axis counts the pictures.

    Attributes:
        ids: int32 (T,), the tokens.
        pieces: the text of each token.
    """

    def __init__(self, subject: Subject, arrays: dict[str, np.ndarray]) -> None:
        self.ids = subject.ids
        self.pieces = subject.pieces
        self._arrays = arrays

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        wide = max(map(len, self), default=0)
        lines = (f"  {name:{wide}}  {array.shape}" for name, array in self.items())
        return "\n".join([f"Trace of {len(self.ids)} tokens", *lines])


def trace(subject: Subject, names: str | Sequence[str] | None = None) -> Trace:
    """Return the arrays whose names match.

    Args:
        subject: the text.
        names: names, or patterns in which `*` matches anything; None for all arrays.

    Raises:
        SettingError: a pattern matches nothing; the message lists the names.
    """
    (NOTHING | TEXT | list_of(TEXT)).check("trace: names", names)
    patterns = ("*",) if names is None else (names,) if isinstance(names, str) else tuple(names)
    seen = jax.device_get(subject.run(f"trace {patterns}", 0, _maker(patterns)))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in seen):
            there = ", ".join(subject.outline(_maker(("*",))))
            raise SettingError(f"trace: names: nothing is called {pattern!r}; there is {there}")
    return Trace(subject, {name: _cut(name, value, subject) for name, value in seen.items()})


def _maker(patterns: tuple[str, ...]) -> Maker:
    def make(programs: Programs, _: int) -> Callable[[Given], OrderedDict[str, jax.Array]]:
        def run(given: Given) -> OrderedDict[str, jax.Array]:
            with given.read(programs, *patterns) as (hidden, seen):
                observed(LOGITS, programs.backbone.logits(hidden))
            # JAX keeps the order of an OrderedDict, not of a dict.
            return OrderedDict((name, value.astype(jnp.float32)) for name, value in seen.items())

        return run

    return make


def _cut(name: str, value: np.ndarray, subject: Subject) -> np.ndarray:
    """Remove the batch axis and the padding of an array."""
    if name.startswith("image_"):  # the first axis counts pictures, without padding
        return value
    own = _encoded(subject) if name.startswith("encoder_") else len(subject.ids)
    other = _encoded(subject) if "cross_attention" in name else own
    if name.endswith("/weights"):
        return value[0, :, :own, :other]
    return value[0, :own]


def _encoded(subject: Subject) -> int | None:
    """Return the number of places a text encoder has read; None for other encoders."""
    if "encoder_token_ids" not in subject.source:
        return None
    return int(np.sum(subject.source["encoder_padding_mask"][0]))
