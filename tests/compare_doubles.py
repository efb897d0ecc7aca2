"""A `FakeLM` with adapters, of which several streams may be under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from doubles import FakeLM

from workbench import samplers
from workbench.errors import AdapterError


class FakeAdapters:
    """Names, one of which may be at work."""

    def __init__(self, names):
        self.names, self.active = names, None

    def __getitem__(self, name):
        if name not in self.names:
            raise AdapterError(f"adapters: expected one of {list(self.names)}, got {name!r}")
        return name

    def __iter__(self):
        return iter(self.names)

    def use(self, name):
        self.active = name if name is None else self[name]

    @contextmanager
    def using(self, name) -> Iterator[None]:
        before = self.active
        self.use(name)
        try:
            yield
        finally:
            self.use(before)


class ComparedLM(FakeLM):
    """Its words depend on the adapter that was at work when the stream was made, too."""

    def __init__(self, adapters=("pirate", "poet"), **options):
        super().__init__(**options)
        self.adapters = FakeAdapters(adapters)
        self.sampler = samplers.TopKSampler()

    def stream(self, prompt, max_new_tokens=None, sampler=None, seed=None, alternatives=5):
        self.calls.append({"prompt": prompt, "sampler": sampler, "adapter": self.adapters.active})
        text = prompt if self.adapters.active is None else f"{prompt} {self.adapters.active}"
        return self._events(text, max_new_tokens, sampler, seed, alternatives)
