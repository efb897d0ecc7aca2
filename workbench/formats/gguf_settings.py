"""Reads the metadata of a GGUF file: every key of the architecture is used, known or refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from workbench.backbones.config import MAX_EXPERTS, MAX_HEADS, MAX_LAYERS, MAX_SIZE
from workbench.errors import PresetError
from workbench.formats.gguf_file import Entry
from workbench.kinds import (
    FLAG,
    NOT_NEGATIVE,
    NOTHING,
    NUMBER,
    POSITIVE,
    TEXT,
    integer,
    one_of,
)
from workbench.storage.json_files import first, shown

# Keys unrelated to the network, or redundant with the tensors' shapes.
HARMLESS = frozenset({"context_length", "tensor_data_layout", "vocab_size"})

_SIZE, _HEADS = integer(1, MAX_SIZE), integer(1, MAX_HEADS)
_EXPERTS = integer(1, MAX_EXPERTS)
KINDS = {
    "attention.head_count": _HEADS,
    "attention.head_count_kv": _HEADS,
    "attention.key_length": _HEADS,
    "attention.layer_norm_epsilon": POSITIVE,
    "attention.layer_norm_rms_epsilon": POSITIVE,
    "attention.sliding_window": integer(0, MAX_SIZE),
    "attn_logit_softcapping": POSITIVE,
    "block_count": integer(1, MAX_LAYERS),
    "context_length": _SIZE,
    "embedding_length": _SIZE,
    "expert_count": _EXPERTS,
    "expert_feed_forward_length": _SIZE,
    "expert_shared_feed_forward_length": _SIZE,
    "expert_used_count": _EXPERTS,
    "feed_forward_length": _SIZE,
    "final_logit_softcapping": POSITIVE,
    "rope.dimension_count": _HEADS,
    "rope.freq_base": POSITIVE,
    "rope.scale_linear": NOT_NEGATIVE,
    "rope.scaling.attn_factor": NUMBER,
    "rope.scaling.factor": NOT_NEGATIVE,
    "rope.scaling.finetuned": FLAG,
    "rope.scaling.original_context_length": integer(0, MAX_SIZE),
    "rope.scaling.type": TEXT,
    "use_parallel_residual": FLAG,
}
"""The kind of each setting of an architecture."""

_REQUIRED = object()


class GgufSettings:
    """The metadata of one architecture being read. Take the family's settings, then call `finish`.

    Keys are written without the architecture: `take("block_count")` is `llama.block_count`.

    Args:
        file: the file's name, for messages.
        metadata: the metadata from `read_header`.
        tensors: names and entries of the file's tensors.
        read: reads the values of a tensor.
    """

    def __init__(
        self,
        file: str,
        metadata: Mapping[str, Any],
        tensors: Mapping[str, Entry],
        read: Callable[[str], np.ndarray],
    ) -> None:
        self.file = file
        self.architecture = architecture(file, metadata)
        self.tokenizer = metadata.get("tokenizer.ggml.model")
        (TEXT | NOTHING).check(f"{file}: tokenizer.ggml.model", self.tokenizer, PresetError)
        self.tensors = tensors
        self._read = read
        prefix = f"{self.architecture}."
        self._all = {
            key.removeprefix(prefix): value
            for key, value in metadata.items()
            if key.startswith(prefix)
        }
        self._left = dict(self._all)

    def count(self, key: str) -> int:
        """Return the integer at `key` (or 0) without taking it, to distinguish families."""
        value = self._all.get(key)
        return value if type(value) is int else 0

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        """Take the value of `key`, checked by `KINDS`, or `default` if it is absent.

        Raises:
            PresetError: it has the wrong kind, is absent without a default, or differs between
                layers.
        """
        if key in self._left:
            value = self._pop(key)
            KINDS[key].check(f"{self.file}: {self.architecture}.{key}", value, PresetError)
            return value
        if default is _REQUIRED:
            raise self.error(key, "a value", "none")
        return default

    def expect(self, key: str, *values: Any) -> None:
        """Refuse any value of `key` except these; it may be absent."""
        value = self._pop(key) if key in self._left else values[0]
        if not one_of(*values).fits(value):
            expected = f"{' or '.join(map(str, values))}, which is all this family has"
            raise self.error(key, expected, shown(value))

    def _pop(self, key: str) -> Any:
        """Take a value that must be the same for all layers."""
        value = self._left.pop(key)
        if not isinstance(value, np.ndarray):
            return value
        if value.size == 0 or (value != value[0]).any():
            raise self.error(key, "one value for all layers", shown(value[:8].tolist()))
        return value[0].item()

    def rows(self, name: str, axis: int = 0) -> int:
        """Return a dimension of a tensor, by default the first. Raises PresetError if it is
        missing."""
        shape = self.tensors[name].shape if name in self.tensors else ()
        if len(shape) <= axis:
            raise PresetError.at(self.file, name, f"a tensor of {axis + 1} dimensions", "none")
        return shape[axis]

    def vector(self, name: str, length: int) -> np.ndarray:
        """Return the values of a vector of this length. Raises PresetError for any other shape."""
        shape = self.tensors[name].shape if name in self.tensors else None
        if shape != (length,):
            raise PresetError.at(self.file, name, f"{length} numbers", shown(shape))
        return self._read(name)

    def head_dim(self, width: int, heads: int) -> int:
        """Return the head width: the stated one, or an equal share of the model's width."""
        length = self.take("attention.key_length", width // heads)
        self.expect("attention.value_length", length)
        return length

    def rope(self, theta: float = 10_000.0) -> tuple[float, float]:
        """Return the base of the rotary frequencies and the divisor of positions.

        Raises:
            PresetError: the positions are scaled in another way.
        """
        base = self.take("rope.freq_base", theta)
        old = self.take("rope.scale_linear", 1.0)
        factor = self.take("rope.scaling.factor", old)
        kind = self.take("rope.scaling.type", "none" if factor in (0.0, 1.0) else "linear")
        if kind not in ("none", "linear"):
            raise self.error("rope.scaling.type", "none or linear", shown(kind))
        # The training length of linear scaling changes nothing.
        for key in ("finetuned", "original_context_length"):
            self.take(f"rope.scaling.{key}", None)
        return base, 1.0 if kind == "none" or factor == 0 else factor

    def finish(self) -> None:
        """Refuse every key that was not taken and might change the network.

        Raises:
            PresetError: such keys are left; the message names them all.
        """
        unknown = [
            f"{shown(f'{self.architecture}.{key}')}: {shown(value)}"
            for key, value in self._left.items()
            if key not in HARMLESS
        ]
        if unknown:
            raise PresetError(
                f"{self.file}: these settings are not understood, so the model could come out "
                f"wrong:\n{first(unknown)}"
            )

    def error(self, key: str, expected: object, got: object) -> PresetError:
        """Return an error that names the file and the key."""
        return PresetError.at(self.file, f"{self.architecture}.{key}", expected, got)


def architecture(file: str, metadata: Mapping[str, Any]) -> str:
    """Return the stated architecture, such as "llama". Raises PresetError if it is missing."""
    name = metadata.get("general.architecture")
    if not isinstance(name, str) or not name:
        raise PresetError.at(file, "general.architecture", "a name", shown(name))
    return name


def llama3_factors(
    theta: float, head_dim: int, factor: float, original: float, low: float = 1, high: float = 4
) -> np.ndarray:
    """Return the divisors of the rotary frequencies by Llama 3.1's rule, (head_dim / 2,)
    float64."""
    turns = original * theta ** (-np.arange(0, head_dim, 2) / head_dim) / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / factor + smooth)


def fit_llama3(factors: np.ndarray, theta: float, head_dim: int) -> tuple[float, int] | None:
    """Return the factor and original length that give these divisors by Llama 3.1's rule, or None.

    The file stores only the divisors. With the rule's bounds 1 and 4, which every published model
    uses, a frequency between the bounds gives the original length in tokens.
    """
    factor = float(factors.max(initial=0))
    fits = type(theta) is float and theta > 1 and factors.shape == (head_dim // 2,)
    if not fits or not (factors >= 1).all() or not 1 < factor < 1e6:
        return None
    between = (factors > 1.0001) & (factors < factor * 0.9999)
    turns = theta ** (-np.arange(0, head_dim, 2) / head_dim) / (2 * math.pi)
    if between.any():
        smooth = (1 / factors[between].astype(np.float64) - 1 / factor) / (1 - 1 / factor)
        original = round(float(np.median((1 + 3 * smooth) / turns[between])))
    else:  # any length fits at which unchanged ones turn 4 times and the others less than once
        shortest = 4 / turns[factors < factor].min(initial=turns[0])
        longest = 1 / turns[factors == factor].max()
        original = 8192 if shortest <= 8192 <= longest else math.ceil(shortest)
    again = llama3_factors(theta, head_dim, factor, original)
    return (factor, original) if np.allclose(again, factors, rtol=1e-3) else None
