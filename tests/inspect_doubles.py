"""Stand-ins for tests of the inspect panel: a model without weights that can be looked into."""

import re
import threading
import time
from types import SimpleNamespace

import numpy as np
from doubles import WORDS, FakeBackbone, FakeLM
from patience import HANG

from workbench.errors import PromptError
from workbench.generation.events import Done, Stats, Status, Token
from workbench.inspection import Distribution
from workbench.tasks.inspecting import Inspects

VOCABULARY = 1000
ALTERNATIVES = 8
HEADS, LAYERS = 2, 3


def softmax_log(logits):
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


class FakeInspection:
    """What `lm` makes of ids, with the attributes of `workbench.inspection.Inspection`."""

    def __init__(self, lm, ids):
        self._lm, self.ids = lm, np.asarray(ids, np.int32)
        self.pieces = tuple(lm.piece(token) for token in self.ids.tolist())
        self.layers = LAYERS
        size = len(self.ids)
        self._logits = np.stack([lm.logits(self.ids[:place]) for place in range(size + 1)])
        chances = softmax_log(self._logits)
        self.entropies = -(np.exp(chances) * chances).sum(-1).astype(np.float32)
        self.entropies[0] = np.nan
        own = chances[np.arange(size), self.ids]
        self.logprobs = np.append(own, np.nan).astype(np.float32)
        self.ranks = np.append((chances[:-1] > own[:, None]).sum(-1) + 1, 0).astype(np.int32)
        self.logprobs[0], self.ranks[0] = np.nan, 0
        best = np.argsort(-chances, kind="stable")[:, :ALTERNATIVES].astype(np.int32)
        likely = np.take_along_axis(chances, best, -1).astype(np.float32)
        best[0], likely[0] = -1, np.nan
        self.alternatives = best, likely

    def piece(self, token):
        return self._lm.piece(token)

    def distribution(self, place):
        self._lm.looks.append(place)
        self._lm.gate.wait(HANG)
        return Distribution.of(self._logits[place].astype(np.float32))

    def lens(self, k=5):
        names = ("embedding", *(f"decoder_block_{i}" for i in range(LAYERS)))
        logits = np.stack([self._logits * (i + 1) / len(names) for i in range(len(names))])
        chances = softmax_log(logits)
        ids = np.argsort(-chances, kind="stable")[..., :k].astype(np.int32)
        tokens = np.append(self.ids, 0)
        own = np.take_along_axis(chances, np.tile(tokens[None, :, None], (len(names), 1, 1)), -1)
        return SimpleNamespace(
            layers=names,
            ids=ids,
            logprobs=np.take_along_axis(chances, ids, -1).astype(np.float32),
            token_logprobs=own[..., 0].astype(np.float32),
            token_ranks=((chances > own).sum(-1) + 1).astype(np.int32),
            entropies=-(np.exp(chances) * chances).sum(-1).astype(np.float32),
        )

    def attention(self, layer):
        size = len(self.ids)
        noise = np.random.default_rng(layer).uniform(size=(HEADS, size, size))
        weights = np.tril(noise)
        return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


class FakeInspectBackbone(FakeBackbone):
    config = SimpleNamespace(vocabulary_size=VOCABULARY)


class FakeInspectLM(FakeLM, Inspects):
    """A word with the space before it is a token; what follows hangs on the last two tokens.

    `reads` keeps what was read, `looks` the places whose distribution was computed; while `gate`
    is closed none of these ends. `read_seconds` is how long reading takes, `read_error` what it
    raises.
    """

    def __init__(self, read_seconds=0.0, read_error=None, **options):
        super().__init__(**options)
        self.backbone = FakeInspectBackbone()
        self._pieces = [" " + word for word in dict.fromkeys(WORDS)]
        self._pieces += [f" w{number}" for number in range(len(self._pieces), VOCABULARY)]
        self._free = VOCABULARY
        self.reads, self.looks = [], []
        self.read_seconds, self.read_error = read_seconds, read_error
        self.gate = threading.Event()
        self.gate.set()

    def piece(self, token):
        return self._pieces[token]

    def id_of(self, piece):
        if piece not in self._pieces:
            self._free -= 1
            self._pieces[self._free] = piece
        return self._pieces.index(piece)

    def ids_of(self, text):
        return [self.id_of(piece) for piece in re.findall(r"\n| ?[^ \n]+| ", text)]

    def logits(self, ids):
        """A few words, others hardly ever; whole numbers of quarters, so that there are ties."""
        seed = [len(ids), *(int(token) for token in ids[-2:])]
        noise = np.random.default_rng(seed).gumbel(scale=1.5, size=VOCABULARY)
        return np.round((noise - 0.01 * np.arange(VOCABULARY)) * 4) / 4

    def inspect(self, inputs):
        self.reads.append(inputs if isinstance(inputs, str) else list(inputs))
        time.sleep(self.read_seconds)
        if self.read_error:
            raise self.read_error
        ids = self.ids_of(inputs) if isinstance(inputs, str) else inputs
        if len(ids) == 0:
            raise PromptError("text: expected at least one token, got none")
        return FakeInspection(self, ids)

    def stream_ids(self, ids, max_new_tokens=None, sampler=None, seed=None, **settings):
        self.calls.append({"ids": list(ids), "sampler": sampler, "seed": seed})
        if self.compiled is not None:
            yield Status("compiling")
            self.compiled.wait(HANG)
        yield Status("prefill")
        began, written = time.monotonic(), list(map(int, ids))
        for index in range(max_new_tokens):
            if index == self.fail_at:
                raise self.error
            self.pace.wait(index)
            chances = softmax_log(self.logits(written))
            likely = np.argsort(-chances, kind="stable")[:4]
            token = int(likely[np.random.default_rng([seed, len(written)]).integers(4)])
            written.append(token)
            yield Token(token, self.piece(token), float(chances[token]))
        stats = Stats(len(ids), max_new_tokens, 0.0, time.monotonic() - began)
        text = "".join(self.piece(token) for token in written[len(ids) :])
        yield Done("length", text, stats)
