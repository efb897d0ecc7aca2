"""fit, evaluate and predict on what users have: every form trains as its arrays would."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from chats import TEMPLATE, said
from tiny import byte_tokenizer, one_layer

from workbench.data.reading import read_examples
from workbench.errors import PromptError, SettingError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM

TEXTS = ["one fox", "two red foxes", "a kite", "down by the river", "boats", "go under it"]
PAIRS = [("ask", " say"), ("who?", " me"), ("x", "y z"), ("is it so", " no")]
LENGTH = 24


@pytest.fixture(scope="module")
def lm():
    """A model whose weights each use puts back with `fresh`."""
    preprocessor = CausalLMPreprocessor(byte_tokenizer(), sequence_length=LENGTH)
    lm = CausalLM(one_layer(), preprocessor)
    lm.compile(optimizer=keras.optimizers.SGD(0.5))
    lm.start = [np.asarray(value) for value in lm.trainable_variables]
    return lm


@pytest.fixture
def fresh(lm):
    """The model as it was built, with its preprocessor."""
    preprocessor = lm.preprocessor
    for variable, value in zip(lm.trainable_variables, lm.start, strict=True):
        variable.assign(value)
    yield lm
    lm.preprocessor = preprocessor


def arrays(lm, data=TEXTS):
    return lm.preprocessor(data)


def trained(lm, *data, **settings):
    """The losses of each epoch."""
    settings = {"batch_size": 2, "shuffle": False, "epochs": 2, "verbose": 0, **settings}
    return lm.fit(*data, **settings).history["loss"]


def reset(lm):
    for variable, value in zip(lm.trainable_variables, lm.start, strict=True):
        variable.assign(value)


def expected(lm, data=TEXTS, **settings):
    """The losses on the arrays that the preprocessor makes, as Keras trains on them."""
    x, y, weight = arrays(lm, data)
    losses = trained(lm, x, y, sample_weight=weight, **settings)
    reset(lm)
    return losses


class Again:
    """Batches that can be gone through again, as a `tf.data.Dataset`."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


class Unknown(Again):
    """Such ones that cannot say how many they are."""

    def __len__(self):
        raise TypeError("the length is unknown")


class Numbered(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def batches_of(texts=TEXTS):
    return [texts[first : first + 2] for first in range(0, len(texts), 2)]


@pytest.mark.parametrize(
    "texts",
    [TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), [t.encode() for t in TEXTS]],
    ids=["list", "tuple", "array", "objects", "bytes"],
)
def test_texts_in_memory_train_as_their_arrays(fresh, texts):
    wanted = expected(fresh)
    assert trained(fresh, texts) == pytest.approx(wanted, rel=1e-5)


def test_a_dict_of_texts(fresh):
    wanted = expected(fresh)
    assert trained(fresh, {"text": TEXTS}) == pytest.approx(wanted, rel=1e-5)


def tensors(batches):
    """A stand-in for the tensors of another library: NumPy reads them, no list is theirs."""

    class Tensor:
        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return np.array([text.encode() for text in self.values], object)

    return Again([Tensor(batch) for batch in batches])


@pytest.mark.parametrize(
    "dataset",
    [
        lambda: Again(batches_of()),
        lambda: Numbered([(batch,) for batch in batches_of()]),
        lambda: Numbered([np.array(batch) for batch in batches_of()]),
        lambda: tensors(batches_of()),
        lambda: Again([(batch,) for batch in batches_of()]),
        lambda: Unknown(batches_of()),
    ],
    ids=["iterable", "py_dataset", "py_dataset_of_arrays", "tensors", "tuples", "unknown_length"],
)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, of an unknown length
def test_batches_that_can_be_gone_through_again(fresh, dataset):
    wanted = expected(fresh)
    assert trained(fresh, dataset(), batch_size=None) == pytest.approx(wanted, rel=1e-5)


def test_batches_of_arrays_pass_through(fresh):
    wanted = expected(fresh)
    made = [arrays(fresh, batch) for batch in batches_of()]
    assert trained(fresh, Again(made), batch_size=None) == pytest.approx(wanted, rel=1e-5)
    reset(fresh)
    fresh.preprocessor = None
    assert trained(fresh, Again(made), batch_size=None) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_generators_are_read_as_they_come(fresh):
    wanted = expected(fresh, epochs=1)
    asked = []

    def batches():
        for batch in batches_of():
            asked.append(batch)
            yield batch

    assert trained(fresh, batches(), batch_size=None, epochs=1) == pytest.approx(wanted, rel=1e-5)
    assert asked == batches_of()


def test_endless_generators_need_a_number_of_steps(fresh):
    def endless():
        while True:
            yield from batches_of()

    wanted = expected(fresh)
    losses = trained(fresh, endless(), batch_size=None, steps_per_epoch=3)
    assert losses == pytest.approx(wanted, rel=1e-5)


def test_a_number_of_steps_goes_on_where_the_epoch_before_stopped(fresh):
    wanted = expected(fresh, epochs=1)
    losses = trained(fresh, TEXTS, epochs=3, steps_per_epoch=1)
    assert np.mean(losses) == pytest.approx(wanted[0], rel=1e-5)


def test_no_sample_is_made_into_arrays_before_its_batch(fresh):
    made = []
    texts = [f"text number {number}" for number in range(40)]
    preprocess = fresh.preprocess
    fresh.preprocess = lambda x, *others: made.append(list(x)) or preprocess(x, *others)
    try:
        fresh.evaluate(texts, batch_size=2, steps=3, verbose=0)
    finally:
        del fresh.preprocess
    assert all(len(batch) == 2 for batch in made)
    assert {text for batch in made for text in batch} == set(texts[:6])


def test_validation_data_is_read_once_an_epoch(fresh):
    made = []
    preprocess = fresh.preprocess
    fresh.preprocess = lambda x, *others: made.append(list(x)) or preprocess(x, *others)
    try:
        fresh.fit(TEXTS[:2], validation_data=["held", "out"], epochs=3, verbose=0)
    finally:
        del fresh.preprocess
    assert made.count(["held", "out"]) == 3


def test_samples_are_shuffled_anew_and_repeatably(fresh):
    def orders():
        keras.utils.set_random_seed(4)
        made = []
        preprocess = fresh.preprocess
        fresh.preprocess = lambda x, *others: made.append(tuple(x)) or preprocess(x, *others)
        try:
            fresh.fit(TEXTS, batch_size=2, epochs=2, verbose=0)
        finally:
            del fresh.preprocess
        return sum(made[-6:-3], ()), sum(made[-3:], ())

    orders()  # Keras reads a batch more the first time
    first, second = orders()
    assert sorted(first) == sorted(second) == sorted(TEXTS)
    assert first != second
    assert orders() == (first, second)


@pytest.mark.parametrize("texts", [TEXTS, np.array(TEXTS)], ids=["list", "array"])
def test_validation_split_holds_out_the_last(fresh, texts):
    history = fresh.fit(texts, validation_split=1 / 3, batch_size=2, shuffle=False, verbose=0)
    losses = history.history
    reset(fresh)
    again = fresh.fit(
        TEXTS[:4], validation_data=TEXTS[4:], batch_size=2, shuffle=False, verbose=0
    ).history
    assert losses["loss"] == pytest.approx(again["loss"], rel=1e-6)
    assert losses["val_loss"] == pytest.approx(again["val_loss"], rel=1e-6)


def test_validation_split_of_arrays_is_keras_own(fresh):
    x, y, weight = arrays(fresh)
    split = fresh.fit(x, y, sample_weight=weight, validation_split=1 / 3, batch_size=2, verbose=0)
    assert "val_loss" in split.history
    with pytest.raises(SettingError, match="validation_split: expected a share"):
        fresh.fit(TEXTS[:1], validation_split=0.5)


@pytest.mark.parametrize(
    "held_out",
    [
        lambda lm: TEXTS[:2],
        lambda lm: (TEXTS[:2],),
        lambda lm: Again([TEXTS[:2]]),
        lambda lm: Numbered([(TEXTS[:2],)]),
        lambda lm: arrays(lm, TEXTS[:2]),
        lambda lm: Again([arrays(lm, TEXTS[:2])]),
        lambda lm: read_examples(TEXTS[:2], lm),
    ],
    ids=["texts", "tuple", "iterable", "py_dataset", "arrays", "batches", "examples"],
)
def test_validation_data_in_every_form(fresh, held_out):
    x, y, weight = arrays(fresh, TEXTS[:2])
    wanted = fresh.evaluate(x, y, sample_weight=weight, verbose=0)[0]
    fresh.optimizer.learning_rate = 0.0
    settings = {"batch_size": 2, "epochs": 2, "verbose": 0}
    history = fresh.fit(TEXTS[:2], validation_data=held_out(fresh), **settings).history
    fresh.optimizer.learning_rate = 0.5
    assert history["val_loss"] == pytest.approx([wanted] * 2, rel=1e-5)


def test_callbacks_and_metrics_as_keras_has_them(fresh):
    seen = []
    tell = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    history = fresh.fit(TEXTS, batch_size=2, epochs=2, callbacks=[tell], verbose=0).history
    assert [set(logs) for logs in seen] == [{"loss", "sparse_categorical_accuracy"}] * 2
    assert [logs["loss"] for logs in seen] == history["loss"]


# What is learnt.


def test_pairs_learn_their_responses_alone(fresh):
    inputs, labels, weights = fresh.preprocessor(
        {"prompts": [p for p, _ in PAIRS], "responses": [r for _, r in PAIRS]}
    )
    tokenizer = fresh.preprocessor.tokenizer
    for (prompt, response), ids, label, weight, mask in zip(
        PAIRS, inputs["token_ids"], labels, weights, inputs["padding_mask"], strict=True
    ):
        assert tokenizer.detokenize(label[weight]) == response + "<|endoftext|>"
        assert tokenizer.detokenize(ids[mask]) == f"<|endoftext|>{prompt}{response}<|endoftext|>"
        assert label[~weight][: len(prompt)].tolist() == tokenizer.tokenize(prompt)


@pytest.mark.parametrize(
    "data",
    [
        PAIRS,
        [list(pair) for pair in PAIRS],
        [{"prompt": prompt, "response": response} for prompt, response in PAIRS],
        {"prompts": [p for p, _ in PAIRS], "responses": np.array([r for _, r in PAIRS])},
        {"prompt": [p for p, _ in PAIRS], "completion": [r for _, r in PAIRS]},
    ],
    ids=["pairs", "lists", "records", "columns", "other_names"],
)
def test_pairs_in_every_form(fresh, data):
    columns = {"prompts": [p for p, _ in PAIRS], "responses": [r for _, r in PAIRS]}
    wanted = expected(fresh, columns)
    assert trained(fresh, data) == pytest.approx(wanted, rel=1e-5)
    reset(fresh)
    batches = [columns_part(columns, first) for first in (0, 2)]
    assert trained(fresh, Again(batches), batch_size=None) == pytest.approx(wanted, rel=1e-5)


def columns_part(columns, first):
    return {name: list(values)[first : first + 2] for name, values in columns.items()}


def test_files_and_examples_train_as_their_records(fresh, tmp_path):
    wanted = expected(fresh, {"prompts": [p for p, _ in PAIRS], "responses": [r for _, r in PAIRS]})
    path = tmp_path / "pairs.jsonl"
    lines = [json.dumps({"prompt": prompt, "response": response}) for prompt, response in PAIRS]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert trained(fresh, path) == pytest.approx(wanted, rel=1e-5)
    reset(fresh)
    examples = read_examples(path, fresh)
    assert trained(fresh, examples) == pytest.approx(wanted, rel=1e-5)
    reset(fresh)
    assert "val_loss" in fresh.fit(path, validation_split=0.5, verbose=0).history


def test_conversations_learn_the_replies(fresh):
    lm = fresh
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    lm.preprocessor = CausalLMPreprocessor(tokenizer, sequence_length=64)
    data = [said("hi", "yo"), said("a", "b", "c", "d")]
    labels, weights = lm.preprocessor({"messages": data})[1:]
    learnt = [
        lm.preprocessor.tokenizer.detokenize(row[weight])
        for row, weight in zip(labels, weights, strict=True)
    ]
    assert learnt == ["yo<|endoftext|>", "b<|endoftext|>d<|endoftext|>"]
    loss = lm.evaluate([{"messages": messages} for messages in data], verbose=0)[0]
    assert loss == pytest.approx(lm.evaluate(data, verbose=0)[0])
    assert loss == pytest.approx(lm.evaluate({"messages": data}, verbose=0)[0])


# Single batches and predictions.


def test_single_batches_of_texts(fresh):
    texts = TEXTS[:2]
    x, y, weight = arrays(fresh, texts)
    on_arrays = fresh.test_on_batch(x, y, weight)
    assert fresh.test_on_batch(texts) == pytest.approx(on_arrays, rel=1e-6)
    assert fresh.test_on_batch(np.array(texts)) == pytest.approx(on_arrays, rel=1e-6)
    first = fresh.train_on_batch(texts)
    assert first == pytest.approx(on_arrays, rel=1e-5)
    assert fresh.train_on_batch(texts)[0] < first[0]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_predictions_of_texts_are_those_of_arrays(fresh):
    wanted = fresh.predict(arrays(fresh)[0], batch_size=2, verbose=0)
    np.testing.assert_allclose(fresh.predict_on_batch(TEXTS[:2]), wanted[:2], atol=1e-5)
    for data in (TEXTS, Again(batches_of()), iter(batches_of()), Numbered(batches_of())):
        given = {"batch_size": 2} if data is TEXTS else {}
        np.testing.assert_allclose(fresh.predict(data, verbose=0, **given), wanted, atol=1e-5)


def test_training_goes_on_after_adapters_came_and_went(fresh):
    """Other variables are trained, whose optimizer starts anew with the same settings."""
    fresh.fit(TEXTS[:2], batch_size=2, verbose=0)
    kernel = np.asarray(fresh.backbone.token_embedding.embeddings)
    fresh.adapters.add("style", rank=2)
    losses = fresh.fit(TEXTS[:2], batch_size=2, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(np.asarray(fresh.backbone.token_embedding.embeddings), kernel)
    assert float(fresh.optimizer.learning_rate) == 0.5
    fresh.adapters.remove("style")
    before = fresh.train_on_batch(TEXTS[:2])[0]
    assert fresh.train_on_batch(TEXTS[:2])[0] < before


# Mistakes.


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a text", "expected several samples"),
        (b"a text", "expected several samples"),
        (np.array("a text"), "expected several samples"),
        ({"prompts": "a", "responses": "b"}, "without a list"),
        ({"prompts": ["a"], "responses": ["b", "c"]}, "expected as many of each"),
        ([{"prompt": "a", "response": "b"}, {"text": "c"}], r"record 1: expected \['prompt'"),
        ({"question": ["a"]}, "got a dict of"),
        ([1, 2], "expected a string, got int"),
    ],
)
def test_mistakes_in_memory_are_named(fresh, data, words):
    with pytest.raises(PromptError, match=words):
        fresh.fit(data, verbose=0)


@pytest.mark.parametrize(
    "element", ["a text", np.array("a text"), {"prompts": "a", "responses": "b"}]
)
def test_elements_that_are_no_batches_are_named(fresh, element):
    with pytest.raises(PromptError, match="into batches first"):
        fresh.fit(Again([element]), verbose=0)


def test_a_batch_that_cannot_be_read_leaves_the_model_as_it_was(fresh):
    wanted = fresh.evaluate(TEXTS[:2], verbose=0)
    for run in (fresh.fit, fresh.evaluate, fresh.predict):
        with pytest.raises(PromptError, match=r"got int \(in the batch of samples \[.*1"):
            run(["a", 2], verbose=0)
    assert fresh.evaluate(TEXTS[:2], verbose=0) == wanted
    assert "loss" in fresh.fit(TEXTS[:2], verbose=0).history


def test_what_goes_with_a_dataset_is_named(fresh):
    for given in ({"batch_size": 2}, {"y": [1]}, {"sample_weight": [1]}, {"class_weight": {0: 1}}):
        with pytest.raises(SettingError, match=f"{next(iter(given))}: expected None with a data"):
            fresh.fit(Again(batches_of()), verbose=0, **given)


def test_labels_beside_texts_are_refused(fresh):
    with pytest.raises(SettingError, match="labels and weights come from the text itself"):
        fresh.fit(TEXTS, np.zeros(len(TEXTS)), verbose=0)
    with pytest.raises(SettingError, match="y: expected 6, one a sample, got 2"):
        fresh.fit(TEXTS, [1, 2], verbose=0)
    with pytest.raises(SettingError, match="got a tuple of 4"):
        fresh.fit(Again([(TEXTS, 1, 2, 3)]), verbose=0)
