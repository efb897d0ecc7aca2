"""Ids that the model's tables have no row for: refused by name where a text uses them, in every
call; padding takes an id that exists. Loading such a model stays possible."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tokenizers
from tiny import GOLDENS

import workbench as wb
from workbench.backbones.tables import Table
from workbench.data.examples import Examples
from workbench.data.reading import read_examples
from workbench.errors import PromptError, WorkbenchError
from workbench.tuning.job import TrainingJob

ROWS, LENGTH = 257, 12
PAD = "<|endoftext|>"  # the tokenizer's id 257
PLAIN, ODD = ["one fox", "a kite", "go"], ["one fox", f"a{PAD}"]
REFUSED = r"expected token ids from 0 to 256, .* got 257, the token '<\|endoftext\|>'"
TEMPLATE = "{% for message in messages %}{{ message['content'] }}<|endoftext|>{% endfor %}"


def tokenizer(chat_template=None):
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    made = wb.models.Qwen3Tokenizer(
        {token: place for place, token in enumerate([*alphabet, "<|im_end|>", PAD])}, []
    )
    made.chat_template = chat_template
    return made


def reader():
    return wb.models.Qwen3CausalLMPreprocessor(tokenizer(TEMPLATE), sequence_length=LENGTH)


@pytest.fixture(scope="module")
def lm():
    """A model of 257 rows with a tokenizer of 258 ids. Tests put its weights back."""
    backbone = wb.models.Qwen3Backbone(
        vocabulary_size=ROWS,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        hidden_dim=16,
        intermediate_dim=16,
    )
    return wb.models.Qwen3CausalLM(backbone, reader())


def reloaded(lm, save, folder):
    getattr(lm, save)(str(folder))
    return wb.models.CausalLM.from_preset(str(folder), dtype="float32")


def assigned(lm, folder):
    made = type(lm)(lm.backbone)
    made.preprocessor = reader()
    return made


MEETINGS = {
    "constructor": lambda lm, folder: type(lm)(lm.backbone, reader()),
    "assigned": assigned,
    "own": lambda lm, folder: reloaded(lm, "save_to_preset", folder),
    "transformers": lambda lm, folder: reloaded(lm, "export_to_transformers", folder),
}


@pytest.mark.parametrize("meet", MEETINGS.values(), ids=MEETINGS)
def test_wherever_they_meet_padding_exists_and_a_text_with_the_token_is_refused(lm, meet, tmp_path):
    made = meet(lm, tmp_path / "saved")
    assert made.preprocessor.tokenizer.vocabulary_size() == ROWS + 1
    made.preprocessor.sequence_length = LENGTH
    inputs, labels, _ = made.preprocessor(PLAIN)
    assert inputs["token_ids"].max() < ROWS and labels.max() < ROWS
    np.testing.assert_array_equal(inputs["padding_mask"].sum(1), [8, 7, 3])
    with pytest.raises(PromptError, match=f"prompt 0: {REFUSED}"):
        made.generate(f"a{PAD}")


def test_a_preprocessor_alone_pads_as_its_tokenizer_says():
    assert reader()(PLAIN)[0]["token_ids"].max() == ROWS


def test_an_exported_config_names_no_id_that_transformers_could_not_look_up(lm, tmp_path):
    lm.export_to_transformers(str(tmp_path / "out"))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["pad_token_id"] is None
    assert config["eos_token_id"] == 256


class Numbered(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return ODD


class Again:
    def __iter__(self):
        return iter([ODD])


def arrays(texts=ODD):
    """As a preprocessor makes them that knows no model, KerasHub's for example."""
    return reader()(texts)


def batches(made):
    while True:
        yield made


def fit_arrays(lm):
    x, y, weights = arrays()
    lm.fit(x, y, sample_weight=weights, verbose=0)


def check_job(lm, data):
    job = TrainingJob(lm, data, validation=None, steps=1, batch_size=1)
    job.start()
    job.wait()
    raise job.error


IDS = [64, ROWS]
CALLS = {
    "generate": lambda lm: lm.generate(ODD),
    "generate_arrays": lambda lm: lm.generate(arrays()[0]),
    "stream": lambda lm: list(lm.stream(ODD)),
    "stream_ids": lambda lm: list(lm.stream_ids(IDS)),
    "chat": lambda lm: lm.chat("a"),
    "Chat": lambda lm: wb.Chat(lm).send("a"),
    "trace": lambda lm: lm.trace(ODD[1]),
    "inspect": lambda lm: lm.inspect(IDS),
    "fit": lambda lm: lm.fit(ODD, verbose=0),
    "fit_pairs": lambda lm: lm.fit([("ab", PAD)], verbose=0),
    "fit_messages": lambda lm: lm.fit(
        {"messages": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]},
        verbose=0,
    ),
    "fit_examples": lambda lm: lm.fit(read_examples(ODD, lm), verbose=0),
    "fit_arrays": fit_arrays,
    "fit_dataset": lambda lm: lm.fit(Again(), verbose=0),
    "fit_py_dataset": lambda lm: lm.fit(Numbered(), verbose=0),
    "fit_generator": lambda lm: lm.fit(batches(ODD), steps_per_epoch=1, verbose=0),
    "validation_data": lambda lm: lm.fit(PLAIN, validation_data=(*arrays(),), verbose=0),
    "evaluate": lambda lm: lm.evaluate(ODD, verbose=0),
    "predict": lambda lm: lm.predict(ODD, verbose=0),
    "train_on_batch": lambda lm: lm.train_on_batch(ODD),
    "test_on_batch": lambda lm: lm.test_on_batch(ODD),
    "predict_on_batch": lambda lm: lm.predict_on_batch(ODD),
    "job": lambda lm: check_job(lm, ODD),
    "job_ids": lambda lm: check_job(lm, [{"token_ids": IDS}]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_call_refuses_the_token_by_name_and_changes_nothing(lm, call):
    before = [np.asarray(variable) for variable in lm.trainable_variables]
    with pytest.raises(PromptError, match=REFUSED) as refusal:
        call(lm)
    assert len(str(refusal.value)) <= 2000
    for variable, value in zip(lm.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), value)


def test_a_token_that_is_only_predicted_is_refused_too(lm):
    """The last label of a cut row is in no input."""
    x, y, weights = lm.preprocessor(["abcdefghijkl"])
    assert x["token_ids"].max() < ROWS
    y[0, -1] = ROWS
    with pytest.raises(PromptError, match=f"labels: {REFUSED}"):
        lm.train_on_batch(x, y, weights)
    weights[0, -1] = 0
    assert np.isfinite(lm.test_on_batch(x, y, weights)[0])


def test_padding_that_others_made_trains_as_ours(lm):
    start = [np.asarray(variable) for variable in lm.trainable_variables]
    losses = []
    for x, y, weights in (lm.preprocessor(PLAIN), arrays(PLAIN)):
        made = lm.fit(x, y, sample_weight=weights, epochs=2, shuffle=False, verbose=0)
        losses.append(made.history["loss"])
        assert all(np.isfinite(variable).all() for variable in lm.trainable_variables)
        for variable, value in zip(lm.trainable_variables, start, strict=True):
            variable.assign(value)
        lm.compile()
    assert losses[0] == losses[1]


def test_such_a_model_writes_and_trains_plain_texts(lm):
    """Its second stop token has no row: it is never written."""
    assert lm.generate("ab", max_new_tokens=3, seed=1).startswith("ab")
    job = TrainingJob(lm, PLAIN, validation=None, name="plain", steps=2, batch_size=3)
    job.start()
    job.wait()
    lm.adapters.remove("plain")
    assert job.status == "done" and all(np.isfinite(s.loss) for s in job.history.steps)


def test_such_a_model_chats_where_its_template_writes_no_token_without_a_row(lm, monkeypatch):
    template = "{% for message in messages %}{{ message['content'] }}|{% endfor %}"
    monkeypatch.setattr(lm.preprocessor.tokenizer, "chat_template", template)
    assert isinstance(lm.chat("a", max_new_tokens=3, seed=1), str)


def test_examples_read_without_the_model_are_checked_when_they_meet_it(lm):
    examples = read_examples(ODD, lm.preprocessor)
    assert isinstance(examples, Examples)
    with pytest.raises(PromptError, match=f"training data: record 1: {REFUSED}"):
        TrainingJob(lm, examples, validation=None)


def test_without_a_preprocessor_they_are_refused_too(lm):
    preprocessor, lm.preprocessor = lm.preprocessor, None
    try:
        with pytest.raises(PromptError, match=r"token ids from 0 to 256, .* got 257$"):
            lm.fit(batches(arrays()), steps_per_epoch=1, verbose=0)
    finally:
        lm.preprocessor = preprocessor


OTHERS = ("bart", "bert_classifier", "moonshine", "gemma3_vision", "parseq")


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_of_models_refuse_ids_without_a_row_in_each_of_their_inputs(name):
    folder = str(GOLDENS / "keras_hub" / name)
    kind = wb.models.TextClassifier if name == "bert_classifier" else wb.models.CausalLM
    lm = kind.from_preset(folder, load_weights=False)
    assert len(lm.backbone.tables) == {"bart": 2, "bert_classifier": 2}.get(name, 1)
    for what, table in lm.backbone.tables.items():
        mask = f"{what.removesuffix('token_ids').removesuffix('segment_ids')}padding_mask"
        given = {"token_ids": [[0, 0]], what: [[0, table.rows]], mask: [[1, 1]]}
        given = {key: np.array(ids, np.int32) for key, ids in given.items()}
        for call in (lm.train_on_batch, lm.test_on_batch, lm.predict_on_batch):
            with pytest.raises(PromptError, match=f"{what}: .* got {table.rows}"):
                call(given)
    assert lm.preprocessor.pad_token_id == lm.preprocessor.tokenizer.pad_token_id
    if name == "bert_classifier":
        with pytest.raises(PromptError, match=r"segment_ids: .* got 2"):
            lm.predict((["the"], ["a fox"], ["the earth"]), verbose=0)


def test_texts_beyond_the_positions_are_refused(tiny_lms):
    """Such places took the vector of the last one."""
    lm = tiny_lms["gpt2"]
    usual, lm.preprocessor.sequence_length = lm.preprocessor.sequence_length, 80
    try:
        with pytest.raises(PromptError, match=r"expected at most 64 in a text, .* got 71"):
            lm.evaluate(["a" * 69], verbose=0)
        assert np.isfinite(lm.evaluate(["a" * 60], verbose=0)[0])
    finally:
        lm.preprocessor.sequence_length = usual


@pytest.mark.parametrize("wrong", [-1, 5, np.nan, 2.0**40, np.inf])
def test_a_table_admits_its_rows_alone(wrong):
    table, ids = Table(5), np.array([[0, 4, wrong]], float)
    with pytest.raises(WorkbenchError, match="ids: expected token ids from 0 to 4"):
        table.admit("ids", ids, True, str)
    np.testing.assert_array_equal(table.admit("ids", ids, [[1, 1, 0]]), [[0, 4, 0]])
    inside = np.array([[0, 4]])
    assert table.admit("ids", inside, True) is inside


def test_places_are_those_of_each_text_in_a_row():
    table, ids = Table(5, places=3), np.zeros((1, 6), int)
    assert table.admit("ids", ids, [[1, 1, 2, 2, 2, 0]]) is ids
    with pytest.raises(PromptError, match=r"at most 3 in a text, .* got 4"):
        table.admit("ids", ids, [[1, 2, 2, 2, 2, 0]])


def test_labels_that_a_loss_passes_over_stay():
    labels = np.array([[-100, 3, 7]])
    np.testing.assert_array_equal(Table(5).admit_labels(labels, [[1, 1, 0]]), [[-100, 3, 0]])
    usual = np.array([[-100, 3]])
    assert Table(5).admit_labels(usual, True) is usual
