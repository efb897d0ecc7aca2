"""A model of eight numbers that is really trained, in microseconds, for tests of training jobs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from doubles import FakeBackbone, FakeLM, Pace

from workbench.backbones.adapter import Adapter, AdapterConfig, LowRank
from workbench.backbones.config import Attention, DecoderConfig, Gated, LayerSpec, RMSNorm, Rope
from workbench.data.batches import Batch
from workbench.tuning.feed import Feed
from workbench.tuning.trainer import Measured

SIZE = 8
PATH = "block/query"
TRUTH = np.linspace(-1, 1, SIZE)


class LinearAdapters(dict):
    """`lm.adapters`, of a model with one projection."""

    active = None
    merged = False

    def add(self, name, rank=8, alpha=None, dropout=0.0, targets=None, seed=None):
        assert name not in self
        noise = np.random.default_rng(seed).normal(0, 0.3, (1, SIZE)).astype(np.float32)
        update = LowRank(noise, np.ones((1, 1), np.float32))
        self[name] = Adapter(AdapterConfig(rank, alpha, dropout), {PATH: update})

    def use(self, name):
        assert name in self
        self.active = name

    def shapes_of(self, targets=None):
        return {PATH: (1, SIZE)}


class LinearBackbone(FakeBackbone):
    config = DecoderConfig(
        vocabulary_size=10,
        width=SIZE,
        layers=(LayerSpec(),),
        position=Rope(),
        norm=RMSNorm(),
        attention=Attention(1, 1, head_dim=SIZE, scale=1.0),
        mlp=Gated(SIZE),
    )
    compute_dtype = "float32"
    max_length = 64

    def __init__(self):
        self.trainable_variables = [SimpleNamespace(path="lora_a", value=np.zeros(SIZE))]
        self.weights = [SimpleNamespace(path="kernel", value=np.arange(SIZE, dtype=np.float32))]
        self.variables = self.weights


class LinearLM(FakeLM):
    """Writes as a `FakeLM` does and learns `TRUTH`.

    Args:
        step_seconds, hold_at_step: those of the `Pace` of the training steps, `steps`.
        fails: what training raises at which step, from 1.
    """

    def __init__(self, step_seconds=0.0, hold_at_step=None, fails=None, **options):
        super().__init__(**options)
        self.backbone = LinearBackbone()
        self.adapters = LinearAdapters()
        self.steps, self.fails = Pace(step_seconds, hold_at_step), fails or {}
        self.training = False

    @property
    def learnt(self):
        return np.array(self.adapters[self.adapters.active].updates[PATH].a[0])


class LinearTrainer:
    """Least squares by gradient descent with momentum and a little noise of its own."""

    def __init__(self, lm, settings):
        self.lm, self.settings = lm, settings
        self.momentum, self.drawn, self.number = np.zeros(SIZE), 0, 0

    @property
    def adapter(self):
        return self.lm.adapters[self.lm.adapters.active]

    def step(self, batches):
        assert not self.lm.training, "two steps at once on one model"
        assert self.lm.active == 0, "a step while the model writes"
        self.lm.training = True
        try:
            return self._step(batches)
        finally:
            self.lm.training = False

    def _step(self, batches):
        self.lm.steps.wait(self.number)
        if self.number + 1 in self.lm.fails:
            self._put(np.full(SIZE, 1e9))  # half of a step
            raise self.lm.fails[self.number + 1]
        losses, slopes = zip(*(self._slope(batch) for batch in batches), strict=True)
        loss, slope = np.mean(losses), np.mean(slopes, axis=0)
        rate = self.settings.learning_rate_at(self.number)
        noise = np.random.default_rng([self.settings.seed, self.drawn]).normal(size=SIZE)
        self.momentum = 0.5 * self.momentum + slope + 1e-3 * noise
        with np.errstate(over="ignore", invalid="ignore"):
            self._put(self.lm.learnt - rate * self.momentum)
        self.drawn, self.number = self.drawn + 1, self.number + 1
        return Measured(float(loss), float(np.linalg.norm(slope)), rate, 4 * len(batches))

    def _slope(self, batch):
        rows = batch.inputs["rows"]
        with np.errstate(over="ignore", invalid="ignore"):
            off = rows @ self.lm.learnt.astype(float) - batch.labels
            return np.mean(off**2), 2 * off @ rows / len(rows)

    def loss(self, batches):
        return float(np.mean([self._slope(batch)[0] for batch in batches]))

    def _put(self, weights):
        kept = self.adapter
        with np.errstate(over="ignore"):
            update = LowRank(np.asarray(weights[None], np.float32), kept.updates[PATH].b)
        name = self.lm.adapters.active
        self.lm.adapters[name] = Adapter(kept.config, {PATH: update}, kept.base)

    def state(self):
        return {
            "adapter": self.lm.learnt,
            "momentum": self.momentum.copy(),
            "drawn": np.array(self.drawn),
            "step": np.array(self.number),
        }

    def restore(self, state):
        self._put(state["adapter"])
        self.momentum = np.array(state["momentum"])
        self.drawn, self.number = int(state["drawn"]), int(state["step"])


class Rows:
    """Batches of four rows. `nan_at`: the batch, from 0, that holds a value that is no number."""

    per_epoch = 10

    def __init__(self, nan_at=None, first=0):
        self.nan_at, self.first = nan_at, first

    def batch(self, step):
        rows = np.random.default_rng(self.first + step).normal(size=(4, SIZE))
        if step == self.nan_at:
            rows[1, 2] = np.nan
        indices = tuple(range(4 * step, 4 * step + 4))
        return Batch({"rows": rows}, rows @ TRUTH, np.ones(4, np.float32), indices)

    def validation(self):
        for step in range(2):
            yield self.batch(step)


def linear_feed(nan_at=None, digest="the same", held_out=True):
    """A feed of `Rows`."""
    facts = {"data": {"examples": 40, "digest": digest}}
    names = tuple(f"record {index + 1}" for index in range(40))
    return Feed(Rows(nan_at), Rows(first=1000) if held_out else None, facts, names, longest=16)
