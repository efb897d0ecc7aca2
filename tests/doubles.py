"""Stand-ins for tests: a language model without weights, and a comm without a kernel."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import operator
import queue
import random
import threading
import time
import weakref
from types import SimpleNamespace

from comm.base_comm import BaseComm
from patience import HANG

from workbench.errors import ChatTemplateError
from workbench.generation.events import Alternative, Done, Stats, Status, Token

STORY = (
    "once upon a time there was small fox named Pip who lived by the river and loved to watch "
    "boats go under bridge one day he found red kite in tall grass then ran home"
)
WORDS = tuple(STORY.split())


class Pace:
    """How fast a text is written: `delay` seconds a token, and no further than it is allowed.

    A text that waits at a token is surely in its middle, however slow the machine is.

    Args:
        delay: Seconds for each token.
        hold_at: The token (from 0) before which a text waits to be allowed more; None never waits.
    """

    def __init__(self, delay=0.0, hold_at=None):
        self.delay, self._allowed = delay, math.inf if hold_at is None else hold_at
        self._changed = threading.Condition()
        self.holds = False  # whether a text waits to be allowed more

    def allow(self, tokens=math.inf):
        """Let every text become so many tokens long, and wait there."""
        with self._changed:
            self._allowed = tokens
            self._changed.notify_all()

    def wait(self, index):
        """Until the token of that index may be written."""
        time.sleep(self.delay)
        with self._changed:
            self.holds = index >= self._allowed
            self._changed.wait_for(lambda: index < self._allowed, HANG)
            self.holds = False


class FakeBackbone:
    dtype_policy = SimpleNamespace(name="float32")

    def count_params(self):
        return 2_900_000


class FakePreprocessor:
    """A word is a token."""

    def prompt_ids(self, text):
        return [sum(map(ord, word)) for word in text.split()]

    def chat_ids(self, messages, arguments=None):
        return [i for m in messages for i in self.prompt_ids(f"<{m['role']}> {m['content']}")]


class FakeSampler:
    """The sampler of a model that has not been given another."""


class FakeLM:
    """Streams words chosen by the prompt, the sampler and the seed alone.

    Args:
        delay, hold_at: Those of its `pace`, a `Pace`.
        compiled: The first stream, and only that, says it compiles and waits for this event.
        fail_at: The token (from 0) at which the stream raises `error`; None never does.
        stop_at: The token before which the stream ends by itself; None goes on to the limit.
        words: The vocabulary; words may carry anything, markup included.
    """

    def __init__(
        self,
        delay=0.0,
        compiled=None,
        fail_at=None,
        error=None,
        stop_at=None,
        words=WORDS,
        max_length=512,
        name="fake_tiny_en",
        hold_at=None,
    ):
        self.name = name
        self.preset = name
        self.max_length = max_length
        self.backbone = FakeBackbone()
        self.preprocessor = FakePreprocessor()
        self.sampler, self.weights = FakeSampler(), []
        self.pace = Pace(delay, hold_at)
        self.compiled = compiled
        self.fail_at = fail_at
        self.error = error or RuntimeError("the model broke")
        self.stop_at = stop_at
        self.words = list(words)
        self.calls = []
        self.active = 0

    def let_go(self):
        """Hold nothing any more."""
        self.pace.allow()
        if self.compiled is not None:
            self.compiled.set()

    def prompt_tokens(self, prompt):
        return len(self.preprocessor.prompt_ids(prompt))

    def stream(
        self,
        prompt,
        max_length=None,
        max_new_tokens=None,
        stop_token_ids="auto",
        sampler=None,
        seed=None,
        alternatives=5,
    ):
        self.calls.append(
            {"prompt": prompt, "sampler": sampler, "seed": seed, "max_new_tokens": max_new_tokens}
        )
        self.active += 1
        assert self.active == 1, "two streams at once on one model"
        try:
            yield from self._events(prompt, max_new_tokens, sampler, seed, alternatives)
        finally:
            self.active -= 1

    def chat_template(self):
        raise ChatTemplateError("chat: this model has no chat template: load an instruct preset.")

    def _events(self, prompt, max_new_tokens, sampler, seed, alternatives):
        if self.compiled is not None:
            yield Status("compiling")
            self.compiled.wait(HANG)
            self.compiled = None
        yield Status("prefill")
        limit = max_new_tokens or self.max_length
        count = limit if self.stop_at is None else min(limit, self.stop_at)
        choose = random.Random(f"{prompt}|{sampler!r}|{seed}")
        pieces, began = [], time.monotonic()
        yield Status("streaming")
        for index in range(count):
            if index == self.fail_at:
                raise self.error
            self._wait(index)
            token = self._token(choose, alternatives)
            pieces.append(token.text)
            yield token
        stats = Stats(
            len(self.preprocessor.prompt_ids(prompt)), count, 0.0, time.monotonic() - began
        )
        yield Done("length" if count == limit else "stop", "".join(pieces), stats)

    def _wait(self, index):
        self.pace.wait(index)

    def _token(self, choose, alternatives):
        ids = choose.sample(range(len(self.words)), min(alternatives, len(self.words)))
        share = choose.uniform(0.05, 0.95)
        chances = [share * (1 - share) ** rank for rank in range(len(ids))]
        best = [
            Alternative(i, " " + self.words[i], math.log(p))
            for i, p in zip(ids, chances, strict=True)
        ]
        picked = choose.choices(best, chances)[0]
        return Token(picked.id, picked.text, picked.logprob, tuple(best))


class FakeChatLM(FakeLM):
    """A `FakeLM` that was trained to answer. Reuses what a prompt has in common with the last."""

    def __init__(self, **options):
        super().__init__(**options)
        self.read = weakref.WeakKeyDictionary()

    def chat_template(self):
        return "a template"

    def chat_tokens(self, messages, template_arguments=None):
        return len(self.preprocessor.chat_ids(messages))

    def stream_chat(self, messages, *, prefix, template_arguments=None, **settings):
        ids = self.preprocessor.chat_ids(messages)
        same = map(operator.eq, ids, self.read.get(prefix, []))
        reused = len(list(itertools.takewhile(bool, same)))
        for event in self.stream(repr(messages), **settings):
            if isinstance(event, Done):
                stats = dataclasses.replace(
                    event.stats, prompt_tokens=len(ids), reused_tokens=reused
                )
                event = dataclasses.replace(event, stats=stats)
                self.read[prefix] = ids
            yield event


def slow_down(lm, delay):
    """Make a real model write at a pace of `delay` seconds more a token; the `Pace`."""
    pace = Pace(delay)

    def slow(stream):
        def slowly(*args, **settings):
            count = itertools.count()
            with contextlib.closing(stream(*args, **settings)) as events:
                for event in events:
                    if isinstance(event, Token):
                        pace.wait(next(count))
                    yield event

        return slowly

    lm.stream, lm.stream_chat = slow(lm.stream), slow(lm.stream_chat)
    return pace


class RecordingComm(BaseComm):
    """A comm that keeps what is published: (time, kind of message, data).

    Where there are buffers they are in the data, as `buffers`.
    """

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        if buffers:
            data = {**data, "buffers": [bytes(buffer) for buffer in buffers]}
        self.__dict__.setdefault("sent", queue.SimpleQueue()).put(
            (time.monotonic(), msg_type, data)
        )

    def drain(self):
        """Everything published since the last time, oldest first."""
        messages = []
        while not self.sent.empty():
            messages.append(self.sent.get())
        return messages
