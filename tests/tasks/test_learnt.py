"""Training of which nothing would come: refused before the first step, or counted in a warning."""

from __future__ import annotations

import json
import warnings

import keras
import numpy as np
import pytest
from tiny import byte_tokenizer, one_layer

import workbench as wb
from workbench.data.reading import read_examples
from workbench.errors import AdapterError, DataError, SettingError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tuning.job import TrainingJob

LENGTH = 12
FULL = [("a prompt that fills it", " yes"), ("another one as long", " no")]
SOME = [("ask", " say"), *FULL, ("who?", " me")]
NOTHING, COUNTED = "expected a sample with a token to learn, got none among", "2 of 4 samples have"


@pytest.fixture(scope="module")
def made():
    return CausalLM(one_layer(), CausalLMPreprocessor(byte_tokenizer(), sequence_length=LENGTH))


@pytest.fixture
def lm(made):
    """The model without adapters, each of its weights to be trained."""
    yield made
    if made.adapters.merged:
        made.adapters.unmerge()
    for name in list(made.adapters):
        made.adapters.remove(name)
    made.trainable = True


def columns(pairs):
    return dict(zip(("prompts", "responses"), map(list, zip(*pairs, strict=True)), strict=True))


class Again:
    def __init__(self, pairs):
        self.batches = [columns(pairs[:2]), columns(pairs[2:])]

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return 2


class Numbered(keras.utils.PyDataset):
    def __init__(self, pairs):
        super().__init__()
        self.batches = list(Again(pairs))

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.batches[index]


def endless(pairs):
    while True:
        yield from Again(pairs)


def unchanged(lm, call):
    before = [np.asarray(v) for v in (*lm.variables, *lm.optimizer.variables)]
    call()
    after = [np.asarray(v) for v in (*lm.variables, *lm.optimizer.variables)]
    assert all(map(np.array_equal, before, after))


def pairs_file(tmp_path, pairs):
    path = tmp_path / "pairs.jsonl"
    rows = [json.dumps({"prompt": prompt, "response": response}) for prompt, response in pairs]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


ALL_LOST = {
    "fit": lambda lm: lm.fit(FULL, batch_size=1, verbose=0),
    "validation_data": lambda lm: lm.fit(SOME[:1], validation_data=FULL, verbose=0),
    "validation_split": lambda lm: lm.fit(FULL + SOME[:2], validation_split=0.5, verbose=0),
    "evaluate": lambda lm: lm.evaluate(FULL, verbose=0),
    "train_on_batch": lambda lm: lm.train_on_batch(FULL),
    "test_on_batch": lambda lm: lm.test_on_batch(FULL),
    "texts": lambda lm: lm.fit(["", ""], verbose=0),
}


@pytest.mark.parametrize("call", ALL_LOST.values(), ids=ALL_LOST)
def test_samples_of_which_none_is_learnt_are_refused_before_the_first_step(lm, call):
    lm.preprocessor.add_end_token = False

    def refused():
        with pytest.raises(DataError, match=NOTHING) as refusal:
            call(lm)
        assert "Raise sequence_length" in str(refusal.value)

    try:
        unchanged(lm, refused)
    finally:
        lm.preprocessor.add_end_token = True


def test_arrays_of_which_nothing_weighs_are_refused(lm):
    x, y, weights = lm.preprocessor(columns(SOME))
    with pytest.warns(UserWarning, match=f"fit: {COUNTED}"):
        lm.fit(x, y, sample_weight=weights, verbose=0)
    x, y, weights = lm.preprocessor(columns(FULL))
    for call in (lm.fit, lm.evaluate):
        with pytest.raises(DataError, match=f"{call.__name__}: {NOTHING} 2"):
            call(x, y, sample_weight=weights, verbose=0)


def test_files_and_examples_of_which_none_is_learnt_are_refused(lm, tmp_path):
    long = read_examples(FULL, lm, length=60)
    for data in (pairs_file(tmp_path, FULL), long):
        with pytest.raises(DataError, match="a token to learn within 12 tokens, got none among 2"):
            lm.fit(data, verbose=0)


def with_steps(data):
    return {"steps_per_epoch": 2} if hasattr(data, "send") else {}


FORMS = {
    "pairs": lambda: SOME,
    "columns": lambda: columns(SOME),
    "dataset": lambda: Again(SOME),
    "py_dataset": lambda: Numbered(SOME),
    "generator": lambda: endless(SOME),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_samples_of_which_nothing_is_learnt_are_counted_once(lm, form):
    data = form()
    with pytest.warns(UserWarning, match=f"fit: {COUNTED}") as told:
        lm.fit(data, epochs=3, verbose=0, **with_steps(data))
    assert len(told) == 1


def test_the_warning_comes_after_the_first_pass_and_can_be_an_error(lm):
    epochs = []
    seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    with warnings.catch_warnings(), pytest.raises(UserWarning, match=COUNTED):
        warnings.simplefilter("error")
        lm.fit(SOME, epochs=3, verbose=0, callbacks=[seen])
    assert epochs == [0]
    assert "loss" in lm.fit(SOME[:1], verbose=0).history


def test_what_is_tested_on_is_counted_too(lm):
    with pytest.warns(UserWarning, match=f"evaluate: {COUNTED}"):
        lm.evaluate(SOME, verbose=0)
    with pytest.warns(UserWarning, match=f"validation_data: {COUNTED}") as told:
        lm.fit(SOME[:1], validation_data=Again(SOME), epochs=2, verbose=0)
    assert len(told) == 1
    with pytest.warns(UserWarning, match=f"train_on_batch: {COUNTED}"):
        lm.train_on_batch(SOME)


def test_the_first_batch_may_have_nothing_when_others_have(lm):
    with pytest.warns(UserWarning, match=COUNTED):
        losses = lm.fit(FULL + SOME[:1] * 2, batch_size=2, shuffle=False, verbose=0).history["loss"]
    assert losses[0] > 0


def test_predictions_need_nothing_to_learn(lm):
    assert lm.predict(FULL, verbose=0).shape == (2, LENGTH, 257)


def test_dropped_examples_are_told(lm, tmp_path):
    path = pairs_file(tmp_path, SOME)
    told = "2 of 4 examples have no token to learn within 12 tokens and are left out: .*, line 2"
    with pytest.warns(UserWarning, match=f"fit: {told}"):
        lm.fit(path, batch_size=1, verbose=0)
    with pytest.warns(UserWarning, match=f"fit: {told}"):
        lm.fit(read_examples(path, lm, length=60), batch_size=1, verbose=0)
    with pytest.warns(UserWarning, match=f"training: data: {told}"):
        TrainingJob(lm, path, validation=None)
    with pytest.warns(UserWarning, match=f"training: validation: {told}"):
        TrainingJob(lm, SOME[:1], validation=path)


# What trains nothing.


def merged(lm):
    lm.adapters.add("one")
    lm.adapters.merge()


def none_active(lm):
    lm.adapters.add("one")
    lm.adapters.use(None)


def frozen(lm):
    lm.trainable = False


STATES = {
    merged: (AdapterError, r"'one' is merged.*call adapters.unmerge\(\)"),
    none_active: (AdapterError, r"expected an active adapter to train, one of \['one'\]"),
    frozen: (SettingError, "all weights are frozen"),
}


@pytest.mark.parametrize("state", STATES)
def test_training_that_would_change_nothing_is_refused(lm, state):
    error, words = STATES[state]
    state(lm)
    for call in (lambda: lm.fit(SOME[:1], verbose=0), lambda: lm.train_on_batch(SOME[:1])):
        with pytest.raises(error, match=words):
            call()
    assert lm.evaluate(SOME[:1], verbose=0)


def ended(lm, **settings):
    job = TrainingJob(lm, ["one", "two"], validation=None, steps=1, batch_size=2, **settings)
    job.start()
    job.wait()
    return job


def test_a_job_that_would_change_nothing_is_an_error(lm):
    lm.backbone.trainable = False
    job = ended(lm, name="new")
    assert isinstance(job.error, SettingError) and "the model is frozen" in str(job.error)
    assert not job.history.steps
    lm.backbone.trainable = True
    merged(lm)
    for name in ("one", "new"):
        with pytest.raises(AdapterError, match="unmerge"):
            ended(lm, name=name)


def test_a_classifier_with_a_merged_adapter_is_refused_although_its_head_would_learn():
    backbone = wb.models.BertBackbone(
        vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8
    )
    classifier = wb.models.TextClassifier(backbone, num_classes=2)
    merged(classifier)
    with pytest.raises(AdapterError, match="is merged"):
        classifier.fit({"token_ids": np.zeros((1, 2))}, np.zeros(1), verbose=0)


@pytest.mark.parametrize("owner", ["lm", "backbone"])
def test_a_merged_adapter_keeps_the_weights_from_becoming_integers(lm, owner):
    model = lm if owner == "lm" else lm.backbone
    query = next(v for v in lm.backbone.variables if v.path.endswith("query/kernel"))
    before = np.asarray(query)
    merged(lm)
    with pytest.raises(AdapterError, match=r"'one' is merged: call adapters\.unmerge"):
        model.quantize("int8")
    assert lm.backbone.quantization is None
    lm.adapters.unmerge()
    np.testing.assert_array_equal(np.asarray(query), before)


def test_messages_whose_replies_are_cut_off_are_counted(lm):
    def said(question):
        return [{"role": "user", "content": question}, {"role": "assistant", "content": "b"}]

    tokenizer = lm.preprocessor.tokenizer
    tokenizer.chat_template = "{% for turn in messages %}{{ turn['content'] }}{% endfor %}"
    try:
        with pytest.warns(UserWarning, match="fit: 1 of 2 samples have no token to learn"):
            lm.fit([said("a"), said("a question that fills it")], verbose=0)
    finally:
        tokenizer.chat_template = None
