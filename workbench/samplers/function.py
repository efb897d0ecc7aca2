"""A plain function used as a sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.samplers.sampler import Sampler


class FunctionSampler(Sampler):
    """A callable that follows KerasHub's protocol and runs the decoding loop itself:
    `function(next=, prompt=, cache=, index=, mask=, stop_token_ids=, hidden_states=, model=)`
    returns the filled prompt (B, T)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)
