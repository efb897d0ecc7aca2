"""Steps of training, against the slow and obvious, against PEFT, and across a restart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from tiny import GOLDENS, byte_tokenizer, tiny_backbone

from workbench.data.batches import Batch
from workbench.errors import AdapterError, SettingError
from workbench.models import CausalLM
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM as AnyCausalLM
from workbench.tuning import head
from workbench.tuning.settings import TuneSettings
from workbench.tuning.trainer import Trainer

LORA = Path(__file__).parents[1] / "data" / "lora"


def make_lm(family="llama", **adapter):
    lm = AnyCausalLM(tiny_backbone(family), CausalLMPreprocessor(byte_tokenizer(), 64))
    lm.adapters.add("a", **{"rank": 2, "targets": "all", "seed": 0} | adapter)
    random = np.random.default_rng(1)
    for variable in lm.trainable_variables:  # B of zeros would hide A's gradient
        variable.assign(random.normal(0, 0.2, variable.shape))
    return lm


def make_batch(rows=4, length=16, seed=0, packed=False):
    random = np.random.default_rng(seed)
    ids = random.integers(0, 257, (rows, length + 1)).astype(np.int32)
    mask = np.ones((rows, length), np.int32)
    weights = (random.random((rows, length)) < 0.6).astype(np.float32)
    mask[-1, -3:] = weights[-1, -3:] = 0
    if packed:
        mask[:, length // 2 :] *= 2
    inputs = {"token_ids": ids[:, :-1], "padding_mask": mask}
    return Batch(inputs, ids[:, 1:], weights, tuple(range(rows)))


def settings(**changes):
    return TuneSettings(steps=50, warmup_steps=0, schedule="constant", **changes).planned(1)


def naive(lm, batch):
    """The mean loss of a batch over whole logits, and its gradients."""
    trained = lm.backbone.trainable_variables

    def loss(values):
        with keras.StatelessScope(list(zip(trained, values, strict=True))):
            logits = lm.backbone.logits(lm.backbone(batch.inputs)).astype("float32")
        right = jnp.take_along_axis(jax.nn.log_softmax(logits), batch.labels[..., None], -1)
        return -jnp.sum(right[..., 0] * batch.weights) / batch.weights.sum()

    return jax.jit(jax.value_and_grad(loss))([v.value for v in trained])


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_step_is_what_the_whole_logits_give(family, monkeypatch):
    monkeypatch.setattr(head, "PIECE_NUMBERS", 257 * 10)  # seven pieces, the last one not full
    lm, batch = make_lm(family), make_batch(packed=True)
    loss, gradients = naive(lm, batch)
    norm = float(jnp.sqrt(sum(jnp.sum(g**2) for g in gradients)))
    before = [np.array(v.value) for v in lm.trainable_variables]
    rate, clip = 0.01, norm / 2
    trainer = Trainer(lm, settings(learning_rate=rate, clip_norm=clip))
    measured = trainer.step([batch])
    assert measured.loss == pytest.approx(float(loss), abs=1e-5)
    assert measured.gradient_norm == pytest.approx(norm, rel=1e-4)
    assert measured.tokens == batch.tokens and measured.learning_rate == rate
    # The first step of Adam goes the whole rate down every slope that is steep enough to tell.
    for was, now, slope in zip(before, lm.trainable_variables, gradients, strict=True):
        halved = np.asarray(slope) / 2
        expected = rate * halved / (np.abs(halved) + 1e-8)
        np.testing.assert_allclose(was - np.asarray(now), expected, atol=1e-3 * rate)


def test_losses_over_20_steps_equal_pefts():
    reference = np.load(LORA / "peft_training" / "losses.npz")
    lm = CausalLM.from_preset(str(GOLDENS / "hf" / "llama"), dtype="float32")
    lm.adapters.load(LORA / "peft_training", "peft")
    trainer = Trainer(lm, settings(learning_rate=float(reference["rate"])))
    losses = []
    for rows in reference["rows"]:
        inputs = {"token_ids": rows[:, :-1], "padding_mask": np.ones_like(rows[:, :-1])}
        weights = np.ones(rows[:, 1:].shape, np.float32)
        losses.append(trainer.step([Batch(inputs, rows[:, 1:], weights, ())]).loss)
    np.testing.assert_allclose(losses, reference["losses"], atol=1e-4)
    assert losses[-1] < losses[0] - 0.5


def test_batches_that_are_accumulated_are_one_large_batch():
    whole = make_batch(rows=4)
    parts = [
        Batch({k: v[s] for k, v in whole.inputs.items()}, whole.labels[s], whole.weights[s], ())
        for s in (slice(0, 2), slice(2, 4))
    ]
    trainers = [Trainer(make_lm(), settings(learning_rate=0.01)) for _ in range(2)]
    for _ in range(3):
        one, other = trainers[0].step([whole]), trainers[1].step(parts)
        assert one.loss == pytest.approx(other.loss, abs=1e-5)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-4)
        assert one.tokens == other.tokens


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_computing_activations_again_changes_nothing(dropout):
    batch = make_batch()
    losses = []
    for remat in (False, True):
        trainer = Trainer(make_lm(dropout=dropout), settings(remat=remat, learning_rate=0.01))
        losses.append([trainer.step([batch]).loss for _ in range(4)])
    np.testing.assert_allclose(*losses, atol=1e-5)


def test_a_restored_run_goes_on_bit_by_bit():
    batches = [make_batch(seed=seed) for seed in range(6)]
    whole = Trainer(make_lm(dropout=0.3), settings(learning_rate=0.02))
    losses = [whole.step([batch]).loss for batch in batches]
    first = Trainer(make_lm(dropout=0.3), settings(learning_rate=0.02))
    for batch in batches[:3]:
        first.step([batch])
    state = first.state()
    second = Trainer(make_lm(dropout=0.3), settings(learning_rate=0.02))
    second.restore(state)
    assert second.step_number == 3
    assert [second.step([batch]).loss for batch in batches[3:]] == losses[3:]
    ends = whole.state(), second.state()
    assert all(ends[0][name].tobytes() == ends[1][name].tobytes() for name in ends[0])
    # The state held before going on is a copy: the steps have not changed it.
    third = Trainer(make_lm(dropout=0.3), settings(learning_rate=0.02))
    third.restore(state)
    assert third.step([batches[3]]).loss == losses[3]


def test_a_state_of_another_run_is_refused_and_changes_nothing():
    trainer = Trainer(make_lm(), settings())
    state = trainer.state()
    name = next(iter(state))
    for wrong in (
        {k: v for k, v in state.items() if k != name},
        state | {name: state[name][:1]},
        state | {name: state[name].astype("float64")},
        state | {"more": np.zeros(2)},
        {k: v for k, v in state.items() if k != "step"},
    ):
        with pytest.raises(SettingError, match="the state is of another run"):
            trainer.restore(wrong)
    assert all(np.array_equal(v, state[k]) for k, v in trainer.state().items())


def test_only_the_adapter_learns_and_the_model_writes_between_steps():
    lm = make_lm()
    trainer = Trainer(lm, settings(learning_rate=0.05))
    changed = {id(v) for v in lm.trainable_variables}
    frozen = {v.path: np.array(v.value) for v in lm.backbone.variables if id(v) not in changed}
    batch = make_batch()
    first = trainer.loss([batch])
    for _ in range(10):
        trainer.step([batch])
        assert lm.generate("a", max_new_tokens=2)
    assert trainer.loss([batch]) < first - 0.5
    assert all(np.array_equal(v, frozen[v.path]) for v in lm.backbone.variables if v.path in frozen)
    with lm.adapters.using(None):
        lm.generate("a", max_new_tokens=2)
        traced_here = trainer.loss([make_batch(rows=2)])  # a new shape
    assert traced_here == Trainer(lm, settings()).loss([make_batch(rows=2)])
    assert trainer.adapter.parameters == sum(np.prod(v.shape) for v in lm.trainable_variables)


def test_the_loss_of_several_batches_counts_every_token_once():
    trainer = Trainer(make_lm(), settings())
    batches = [make_batch(seed=1), make_batch(rows=2, seed=2)]
    losses = [trainer.loss([batch]) for batch in batches]
    sizes = [batch.tokens for batch in batches]
    assert trainer.loss(batches) == pytest.approx(np.average(losses, weights=sizes), abs=1e-5)


def test_what_cannot_be_trained_is_refused():
    lm = make_lm()
    trainer = Trainer(lm, settings())
    empty = dataclasses.replace(make_batch(), weights=np.zeros((4, 16), np.float32))
    for refused in (lambda: trainer.step([empty]), lambda: trainer.loss([empty])):
        with pytest.raises(SettingError, match="expected tokens to learn"):
            refused()
    lm.adapters.use(None)
    with pytest.raises(AdapterError, match="expected an active adapter"):
        Trainer(lm, settings())
