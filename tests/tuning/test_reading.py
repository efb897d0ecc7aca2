"""Sources of training data: lists, columns, files, tables; pictures, recordings; what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import GOLDENS, byte_tokenizer

import workbench as wb
from workbench.data.batches import Batches
from workbench.data.files import records_of_file
from workbench.data.reading import read_examples
from workbench.errors import DataError, SettingError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor

PAIRS = [("who?", " me"), ("what?", " that, and\nthis")]


@pytest.fixture(scope="module")
def bytewise():
    return CausalLMPreprocessor(byte_tokenizer(), sequence_length=64)


class Table:
    """A `datasets.Dataset` in miniature: rows by number, columns by name."""

    def __init__(self, columns):
        self.columns_, self.opened = columns, []

    @property
    def column_names(self):
        return list(self.columns_)

    def __len__(self):
        return len(next(iter(self.columns_.values())))

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns_[key]
        self.opened.append(key)
        return {name: values[key] for name, values in self.columns_.items()}


class Frame:
    """A pandas data frame in miniature."""

    columns = ("prompt", "response")

    def to_dict(self, orient):
        assert orient == "records"
        return [dict(zip(self.columns, pair, strict=True)) for pair in PAIRS]


def columns(prompt="prompt", response="response"):
    return {prompt: [p for p, _ in PAIRS], response: [r for _, r in PAIRS]}


def same(made, wanted):
    assert len(made) == len(wanted)
    for one, other in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.loss, other.loss)
        assert (one.text, one.prompt) == (other.text, other.prompt)


@pytest.mark.parametrize(
    "source",
    [
        lambda: [list(pair) for pair in PAIRS],
        lambda: (pair for pair in PAIRS),
        lambda: np.array(PAIRS),
        lambda: [{"prompts": p, "responses": r, "id": 3, "text": "other"} for p, r in PAIRS],
        lambda: columns(),
        lambda: columns("prompts", "completion"),
        lambda: Table(columns()),
        lambda: Frame(),
    ],
    ids=["lists", "generator", "array", "records", "columns", "names", "table", "frame"],
)
def test_pairs_from_everywhere(bytewise, source):
    same(read_examples(source(), bytewise), read_examples(PAIRS, bytewise))


def test_columns_may_have_names_of_their_own(bytewise):
    named = {"prompt": "question", "response": "answer"}
    made = read_examples(columns("question", "answer"), bytewise, columns=named)
    same(made, read_examples(PAIRS, bytewise))
    with pytest.raises(SettingError, match="columns: expected names among"):
        read_examples(PAIRS, bytewise, columns={"questions": "a"})
    with pytest.raises(DataError, match=r"record 0: expected 'text', got \['question'\]"):
        read_examples([{"question": "a"}], bytewise)


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", "\n".join(json.dumps(dict(zip("pr", pair, strict=True))) for pair in PAIRS)),
        ("a.jsonl", "\n\n".join(json.dumps(dict(zip("pr", p, strict=True))) for p in PAIRS) + "\n"),
        ("a.json", json.dumps([dict(zip("pr", pair, strict=True)) for pair in PAIRS])),
        ("a.json", json.dumps(columns("p", "r"))),
        ("a.csv", 'p,r\nwho?, me\nwhat?," that, and\nthis"\n'),
        ("A.TSV", 'p\tr\r\nwho?\t me\r\nwhat?\t" that, and\nthis"\r\n'),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_files(bytewise, tmp_path, name, text, mark):
    path = write(tmp_path / name, mark + text.encode())
    for source in (path, str(path)):
        made = read_examples(source, bytewise, columns={"prompt": "p", "response": "r"})
        same(made, read_examples(PAIRS, bytewise))
        assert made[0].where.startswith(f"{name}, ")


def test_lines_of_files_are_told(bytewise, tmp_path):
    path = write(tmp_path / "a.csv", 'text\none\n"two\nlines"\n\nthree\n')
    assert [example.where for example in read_examples(path, bytewise)] == [
        "a.csv, line 2",
        "a.csv, line 3",
        "a.csv, line 6",
    ]


def test_paragraphs_of_a_text_are_examples(bytewise, tmp_path):
    path = write(tmp_path / "a.txt", "\n One fox\nran.\r\n \n\nTwo.\n")
    made = read_examples(path, bytewise)
    assert [example.text for example in made] == [" One fox\nran.", "Two."]
    assert [example.where for example in made] == ["a.txt, line 2", "a.txt, line 6"]


LINES = st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=1)


@given(LINES)
@settings(deadline=None)
def test_json_lines_come_back_whole(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    lines = (json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    path.write_bytes("\n".join(lines).encode())
    assert [record["text"] for _, record in records_of_file(path)] == texts


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": }', r"a\.jsonl, line 2, column 10: expected JSON"),
        ("a.json", '[\n{"text": "a"},\n]', r"a\.json, line 3, column 1: expected JSON"),
        ("a.json", '"a"', "expected a list of records or an object of columns, got str"),
        ("a.json", '{"text": ["a"], "prompt": []}', "expected columns of one length, got"),
        ("a.jsonl", "[" * 100_000, "line 1"),
        ("a.jsonl", '{"text": 3}', r"a\.jsonl, line 1: text: expected a string, got int"),
        ("a.jsonl", '{"text": "a"}\n\n7', r"a\.jsonl, line 3: expected a text, a pair"),
        ("a.csv", "text,id\na,1\nb\n", r"a\.csv, line 3: expected 2 values.* got 1"),
        ("a.csv", "text,text\na,b\n", "line 1: expected different names"),
        ("a.csv", 'text\n"a', r"a\.csv, line 2: "),
        ("a.csv", "text\n", "expected at least one record, got an empty file"),
        ("a.txt", " \n\n", "expected at least one record, got an empty file"),
        ("a.jsonl", "", "got an empty file"),
        ("a.json", "", "got an empty file"),
        ("a.txt", b"one\ntwo \xff\n", r"a\.txt, line 2: expected UTF-8, got byte 0xff"),
        ("a.parquet", b"PAR1", r"expected a file ending in \.jsonl, .*, got \.parquet"),
    ],
)
def test_wrong_files_are_named(bytewise, tmp_path, name, data, words):
    with pytest.raises(DataError, match=words):
        read_examples(write(tmp_path / name, data), bytewise)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([], "expected at least one record, got none"),
        ({"text": "a"}, "expected columns of one length, got"),
        ({"train": Table({"text": ["a"]})}, r"expected one split of a dataset, got \['train'\]"),
        ("no such file.jsonl", "no such file. A text to learn goes into a list of texts"),
        (7, "expected records, columns, the path of a file or a dataset, got int"),
        (b"bytes", "got bytes"),
        (["a", 7], "record 1: expected a text, a pair of prompt and response"),
        ([("a", "b", "c")], "record 0: expected a text, a pair"),
        ([{"prompt": "a"}], "record 0: expected 'response' or 'responses' or 'completion'"),
        ([{"response": "a"}], "record 0: expected 'prompt' or 'prompts'"),
        ([{"prompt": "a", "response": 3}], "record 0: response: expected a string, got int"),
        ([{"messages": "hi"}], "record 0: messages: expected a list of"),
        ([{"text": "a", "image": "a.png"}], "record 0: expected no pictures"),
    ],
)
def test_wrong_data_is_named(bytewise, source, words):
    with pytest.raises(DataError, match=words):
        read_examples(source, bytewise)


def test_models_that_examples_are_not_for_are_named(bytewise):
    with pytest.raises(SettingError, match="expected a model with a preprocessor"):
        read_examples(["a"], None)
    classifier = GOLDENS / "keras_hub" / "bert_classifier"
    preprocessor = wb.models.TextClassifierPreprocessor.from_preset(str(classifier))
    with pytest.raises(SettingError, match="expected a language model, or its preprocessor"):
        read_examples(["a"], preprocessor)


# Pictures, recordings, encoders: the preprocessor's own arrays.

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 18, 22, 3)).astype("uint8")


def pictured(source, name):
    cls = wb.models.CausalLMPreprocessor
    return cls.from_preset(str(GOLDENS / "keras_hub" / name)), source


def check_against_call(preprocessor, examples, given, **lengths):
    """A batch has what the preprocessor makes of the same records, in the same order."""
    (batch,) = Batches(examples, len(examples)).validation()
    inputs, labels, weights = preprocessor(given, **lengths)
    np.testing.assert_array_equal(batch.labels * (batch.weights > 0), labels * weights)
    np.testing.assert_array_equal(batch.weights, weights)
    for name, array in batch.inputs.items():
        np.testing.assert_array_equal(array, inputs[name])
    return batch


def test_pictures_are_opened_with_their_batch():
    preprocessor = wb.models.CausalLMPreprocessor.from_preset(
        str(GOLDENS / "keras_hub" / "pali_gemma"), sequence_length=32
    )
    table = Table({"image": list(PICTURES), "prompt": ["the"] * 3, "response": ["fox", "a", "is"]})
    examples = read_examples(table, preprocessor)
    assert not set(examples[0].source) ^ {"prompts", "responses", "images"}
    opened = len(table.opened)
    given = {"images": list(PICTURES), "prompts": ["the"] * 3, "responses": ["fox", "a", "is"]}
    batch = check_against_call(preprocessor, examples, given, sequence_length=32)
    assert batch.inputs["images"].shape[0] == 3
    assert len(table.opened) == opened + 3
    assert examples[0].source["images"][0] is table.columns_["image"][0]
    learnt = examples[0].ids[examples[0].loss]
    np.testing.assert_array_equal(learnt, batch.labels[0][batch.weights[0] > 0])
    with pytest.raises(wb.errors.PromptError, match="record 0: prompt 0: expected one picture"):
        read_examples([("the", "fox")], preprocessor)
    with pytest.raises(SettingError, match="packing: expected False"):
        Batches(examples, 1, packing=True)


def test_several_pictures_of_a_prompt_and_none():
    preprocessor = wb.models.CausalLMPreprocessor.from_preset(
        str(GOLDENS / "keras_hub" / "gemma3_vision"), sequence_length=32
    )
    records = [
        {"images": list(PICTURES[:2]), "prompt": "the", "response": "fox"},
        {"images": PICTURES[2], "prompt": "a <start_of_image>", "response": "is"},
        {"prompt": "the", "response": "a"},
        {"text": "the fox"},
    ]
    examples = read_examples(records, preprocessor)
    given = {
        "images": [list(PICTURES[:2]), [PICTURES[2]], [], []],
        "prompts": ["the", "a <start_of_image>", "the", ""],
        "responses": ["fox", "is", "a", "the fox"],
    }
    check_against_call(preprocessor, examples, given, sequence_length=32)


def test_texts_of_an_encoder_and_a_decoder():
    preprocessor = wb.models.Seq2SeqLMPreprocessor.from_preset(
        str(GOLDENS / "keras_hub" / "bart"),
        encoder_sequence_length=32,
        decoder_sequence_length=32,
    )
    pairs = [("the quick", "fox"), ("a", "brown one")]
    examples = read_examples(pairs, preprocessor)
    given = {"encoder_text": [p for p, _ in pairs], "decoder_text": [r for _, r in pairs]}
    check_against_call(preprocessor, examples, given)
    assert examples[0].prompt == "the quick" and examples[0].text == "fox"


def test_recordings_with_their_texts():
    preprocessor = wb.models.AudioToTextPreprocessor.from_preset(
        str(GOLDENS / "keras_hub" / "moonshine"), decoder_sequence_length=32
    )
    rate = preprocessor.audio_converter.sampling_rate
    sound = np.sin(np.arange(rate // 2) / 9).astype("float32")
    records = [
        {"audio": {"array": sound, "sampling_rate": rate}, "text": "one"},
        {"audio": sound[: rate // 4], "text": "two"},
    ]
    examples = read_examples(records, preprocessor)
    (batch,) = Batches(examples, 2).validation()
    given = {"audio": [sound, sound[: rate // 4]], "text": ["one", "two"]}
    inputs, labels, weights = preprocessor(given, decoder_sequence_length=32)
    np.testing.assert_array_equal(batch.labels * (batch.weights > 0), labels * weights)
    values, mask = batch.inputs["encoder_input_values"], batch.inputs["encoder_padding_mask"]
    assert values.shape == (2, 16384, 1)
    np.testing.assert_array_equal(values[:, : len(sound)], inputs["encoder_input_values"])
    np.testing.assert_array_equal(mask.sum(axis=1), [len(sound), rate // 4])
