"""The base class of all samplers: what they hold, how they show themselves, and the contract by
which KerasHub's users write their own."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import jax
import keras
import numpy as np

from workbench.errors import SettingError
from workbench.samplers.checks import number, optional_integer
from workbench.samplers.custom import choose_by
from workbench.samplers.history import History
from workbench.samplers.loop import Loop, Next, fill
from workbench.samplers.signature import changed_arguments, whole_signature
from workbench.samplers.step_settings import StepSettings

# Attributes that reach the compiled step as arguments; any other is part of the program.
ARGUMENTS = frozenset(
    ("temperature", "seed", "repetition_penalty", "presence_penalty", "frequency_penalty")
)


class Sampler:
    """Picks the next token from the model's distribution; subclass it to pick your own way.

    A subclass overrides `get_next_token(probabilities)`, which during generation sees one row at
    a time, so that no completion depends on its neighbours in the batch:

    ```python
    class Without(Sampler):
        def __init__(self, token, **kwargs):
            super().__init__(**kwargs)
            self.token = token

        def get_next_token(self, probabilities):  # (B, V) -> (B,)
            banned = keras.ops.arange(probabilities.shape[-1]) == self.token
            return keras.ops.argmax(keras.ops.where(banned, 0.0, probabilities), axis=-1)
    ```

    Args:
        temperature: a finite number from 0 on; above 1 flattens the distribution, below 1
            sharpens it, 0 takes the likeliest token.
        seed: an integer from 0 to 4294967295; None draws a fresh one for every call.
        repetition_penalty: a finite number above 0; more than 1 makes tokens of prompt and
            completion less likely (Keskar et al. 2019).
        presence_penalty: a finite number, subtracted from the logit of every token generated so
            far.
        frequency_penalty: a finite number, subtracted from the logit of a token as often as it
            was generated.

    Attributes may be set at any time. A new value counts from the next token on and compiles
    nothing. In a subclass, setting an attribute that is not listed above compiles a new program.

    Raises:
        SettingError: a value is impossible, at construction or when the attribute is set.
    """

    temperature = number("temperature")
    seed = optional_integer("seed")
    repetition_penalty = number("repetition_penalty")
    presence_penalty = number("presence_penalty")
    frequency_penalty = number("frequency_penalty")

    _closed: ClassVar[bool] = False  # built-in samplers refuse attributes they do not have

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        seed: int | None = None,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
    ) -> None:
        self.temperature = temperature
        self.seed = seed
        self.repetition_penalty = repetition_penalty
        self.presence_penalty = presence_penalty
        self.frequency_penalty = frequency_penalty

    def __init_subclass__(cls, closed: bool = False, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls._closed = closed
        cls.__signature__ = whole_signature(cls)

    def __setattr__(self, name: str, value: object) -> None:
        names = inspect.signature(type(self)).parameters
        if self._closed and name not in names:
            raise SettingError(
                f"{type(self).__name__} has no setting {name!r}; it has {', '.join(names)}"
            )
        super().__setattr__(name, value)
        if name not in ARGUMENTS:
            vars(self)["_program"] = object()

    def __repr__(self) -> str:
        """The constructor call that makes this sampler, defaults left out."""
        arguments = (f"{name}={value!r}" for name, value in changed_arguments(self).items())
        return f"{type(self).__name__}({', '.join(arguments)})"

    # What the generation engine asks for.

    def settings(self) -> StepSettings:
        """The current values, as scalars for the compiled step."""
        return StepSettings(
            temperature=np.float32(self.temperature),
            repetition_penalty=np.float32(self.repetition_penalty),
            presence_penalty=np.float32(self.presence_penalty),
            frequency_penalty=np.float32(self.frequency_penalty),
        )

    @property
    def program(self) -> Hashable:
        """Identity of what `choose` traces to: samplers with equal programs share a compiled
        step."""
        return vars(self).setdefault("_program", object())

    def choose(
        self,
        logits: jax.Array,
        settings: StepSettings,
        seeds: jax.Array,
        step: jax.Array | int,
        history: History,
    ) -> jax.Array:
        """The next token of every row, (B,) int32, from logits (B, V), `seeds` (B,) uint32 and
        the number of the token, drawn by `get_next_token` from one row (1, V) at a time."""
        program = self.program
        token = choose_by(
            self.get_next_token, self._generators(), logits, settings, seeds, step, history
        )
        vars(self)["_program"] = program  # what a trace leaves in attributes changes no program
        return token

    def check_vocabulary(self, vocabulary_size: int) -> None:
        """Raise `SettingError` if the sampler asks for more tokens than the vocabulary has."""

    @property
    def initial_seed(self) -> int | None:
        """`seed`, else the one a subclass gave its own `SeedGenerator`, else None."""
        own = [g.get_config()["seed"] for g in vars(self).values() if _is_generator(g)]
        return next((seed for seed in (self.seed, *own) if seed is not None), None)

    @property
    def owns_loop(self) -> bool:
        """Whether the sampler replaces the decoding loop, by a `__call__` of its own."""
        return type(self).__call__ is not Sampler.__call__

    # KerasHub's contract.

    @cached_property
    def seed_generator(self) -> keras.random.SeedGenerator:
        """Randomness for `get_next_token`: fresh noise at every draw, which inside a compiled
        step comes from the row's seed and step."""
        with jax.ensure_compile_time_eval():
            return keras.random.SeedGenerator(self.seed)

    def _generators(self) -> list[keras.random.SeedGenerator]:
        given = self.seed_generator
        own = (value for value in vars(self).values() if _is_generator(value))
        return list(dict.fromkeys([given, *own]))

    def get_next_token(self, probabilities: jax.Array) -> jax.Array:
        """The next token of each row, (B,) integers, from probabilities (B, V) float32, which
        are the softmax of the penalised logits over the temperature. Subclasses override it."""
        raise SettingError(
            f"{type(self).__name__} has no get_next_token(probabilities) -> token ids; override it"
        )

    def __call__(
        self,
        next: Next,
        prompt: jax.Array,
        cache: Any = None,
        index: int = 0,
        mask: jax.Array | None = None,
        stop_token_ids: Sequence[int] | None = None,
        hidden_states: jax.Array | None = None,
        model: Any = None,
    ) -> Any:
        """Fill `prompt` (B, T) from column `index` on and return it, by KerasHub's protocol.

        Args:
            next: `next(prompt, cache, index) -> (logits (B, V), hidden states, cache)`.
            prompt: token ids (B, T); what is not yet written may hold anything.
            cache: any tree of arrays, passed from one call of `next` to the following.
            index: the first column to write.
            mask: (B, T), true where the prompt's token stays.
            stop_token_ids: ids; the loop ends when every row has generated one of them.
            hidden_states: of the prompt, (B, T, D); only `ContrastiveSampler` reads them.
            model: accepted for compatibility; its variables are read where `next` uses them.
        """
        return self._run(Loop.of(next, prompt, cache, index, mask, stop_token_ids, hidden_states))

    def _run(self, loop: Loop) -> Any:
        return fill(self, loop)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments: the temperature, and the others where they are not the default,
        so that subclasses with KerasHub's narrower constructors can be rebuilt."""
        extras = {n: v for n, v in changed_arguments(self).items() if n in ARGUMENTS}
        return {"temperature": self.temperature} | extras

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sampler:
        """The sampler that `get_config` described."""
        return cls(**config)


def _is_generator(value: object) -> bool:
    return isinstance(value, keras.random.SeedGenerator)
