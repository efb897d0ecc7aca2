"""Files of training data that are long, strange or broken: read in time that grows with their
size, or refused with a named error; no pipe is waited for."""

from __future__ import annotations

import json
import os
import random
import re

import numpy as np
import pytest
from chats import TEMPLATE
from doubling import grows_in_proportion
from tiny import byte_tokenizer

from workbench.data.batches import Batches
from workbench.data.files import records_of_file
from workbench.data.packing import packed
from workbench.data.reading import read_examples
from workbench.errors import DataError, WorkbenchError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tables import COMPARISON, csv_of, guarded, unguarded
from workbench.tuning.feed import facts_of
from workbench.tuning.preview import preview

MUTANTS = int(os.environ.get("WORKBENCH_MUTANTS", "500"))  # 20,000 by hand


@pytest.fixture(scope="module")
def bytewise():
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return CausalLMPreprocessor(tokenizer, sequence_length=64)


def records(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [record for _, record in records_of_file(path)]


# -- in proportion --------------------------------------------------------------------------

LONG = {
    "short paragraphs": ("a.txt", lambda n: "A short one.\n\n" * n),
    "a line of spaces": ("a.txt", lambda n: " " * n + "\nword"),
    "lines of spaces": ("a.txt", lambda n: "  \t \n" * n + "word"),
    "one long line": ("a.txt", lambda n: "word " * n),
    "one long paragraph": ("a.txt", lambda n: "word\n" * n),
    "many columns": ("a.csv", lambda n: f"{','.join(map(str, range(n)))}\n{'x,' * (n - 1)}x\n"),
    "many rows": ("a.csv", lambda n: "text,id\n" + "a,1\n" * n),
    "a cell of many lines": ("a.tsv", lambda n: 'text\n"' + "a\n" * n + '"'),
    "many quotes": ("a.csv", lambda n: 'text\n"' + '""' * n + '"'),
    "many lines": ("a.jsonl", lambda n: '{"text": "a"}\n' * n),
    "many blank lines": ("a.jsonl", lambda n: "\n" * n + '{"text": "a"}'),
    "many records": ("a.json", lambda n: json.dumps([{"text": "a"}] * n)),
    "columns of many": ("a.json", lambda n: json.dumps({"text": ["a"] * n, "id": [1] * n})),
}


@pytest.mark.parametrize("kind", LONG)
def test_files_are_read_in_proportion_to_their_size(tmp_path, kind):
    name, text = LONG[kind]
    paths = {}
    for size in (2500, 20_000):
        paths[size] = tmp_path / str(size) / name
        paths[size].parent.mkdir()
        paths[size].write_text(text(size))
    assert grows_in_proportion(lambda size: list(records_of_file(paths[size])), 2500)


def test_rows_are_packed_in_proportion_to_the_examples():
    sizes = np.random.default_rng(0).integers(520, 990, 200_000).tolist()
    assert grows_in_proportion(lambda count: packed(sizes[:count], 1000), 25_000)


# -- what is no file ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "folder", "device"])
@pytest.mark.parametrize("ending", ["txt", "csv", "jsonl", "json"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind, ending):
    path = tmp_path / f"a.{ending}"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        pipe = tmp_path / "pipe" if "link" in kind else path
        os.mkfifo(pipe)
        if pipe != path:
            path.symlink_to(pipe)
    with pytest.raises(DataError, match="expected a regular file"):
        list(records_of_file(path))


@pytest.mark.parametrize("name", ["a\0.txt", "a\udcff\0.txt", "x" * 300 + ".txt", "none/a.txt"])
def test_names_that_no_file_has_are_told(tmp_path, name):
    with pytest.raises(DataError, match=r"no such file|cannot be read"):
        list(records_of_file(tmp_path / name))


def test_a_text_in_place_of_a_path_is_told_with_what_to_do():
    with pytest.raises(DataError, match="Other data goes in as a list of records"):
        list(records_of_file("a long text. " * 1000))


# -- strange values -------------------------------------------------------------------------

DIGITS = "1" * 5000
STRANGE = {
    "many digits in lines": ("a.jsonl", f'{{"text": {DIGITS}}}', r"line 1: expected JSON"),
    "many digits": ("a.json", f"[{DIGITS}]", "expected JSON"),
    "deep": ("a.jsonl", "[" * 100_000, "nested too deep"),
    "no pair": ("a.jsonl", "[[[1]]]", "record|line 1: expected a text"),
    "ids of no shape": ("a.jsonl", '{"token_ids": [[1], [1, 2]]}', "token_ids: expected integers"),
    "ids too large": ("a.jsonl", '{"token_ids": [99999999999999999999]}', "token_ids: expected"),
    "a role of digits": ("a.jsonl", '{"messages": [{"from": 7, "value": "a"}]}', r"messages\[0\]"),
    "a role in a list": ("a.jsonl", '{"messages": [{"from": [], "value": "a"}]}', r"messages\[0\]"),
    "many names": ("a.json", json.dumps([{str(n): 1 for n in range(9999)}]), "columns=.*says what"),
    "names twice": ("a.csv", ",".join(["a"] * 9999) + "\n", "expected different names"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_values_are_named(bytewise, tmp_path, kind):
    name, text, words = STRANGE[kind]
    (tmp_path / name).write_text(text)
    with pytest.raises(WorkbenchError, match=words) as refusal:
        read_examples(tmp_path / name, bytewise)
    assert len(str(refusal.value)) < 600


def test_huge_numbers_of_python_are_named(bytewise):
    huge = 10**5000
    for item in (huge, [huge], {"messages": huge}, {"text": huge}, {"token_ids": [huge]}):
        with pytest.raises(DataError, match="record 0: "):
            read_examples([item], bytewise)


def test_what_else_a_record_holds_may_be_deep_and_huge(bytewise):
    deep = 10**5000
    for _ in range(5000):
        deep = [deep]
    records = [{"text": "a", "more": more, 1: None} for more in (deep, [deep])]
    one, other = (facts_of(read_examples([record], bytewise)) for record in records)
    assert one["digest"] != other["digest"]


SEEDS = {
    ".jsonl": b'{"text": "one"}\n{"prompt": "who?", "response": " me"}\n'
    b'{"token_ids": [1, 2, 3], "labels": [-100, 2, 3], "attention_mask": [1, 1, 1]}\n'
    b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}\n'
    b'{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}\n',
    ".json": b'[{"text": "a"}, ["p", "r"], "t", {"token_ids": [1, 2], "loss": [false, true]}]',
    ".csv": b'prompt,response,id\nwho?, me,1\n"what, now"," th""at\nit",2\n',
    ".tsv": b'text\tid\none\t1\n"two\nlines"\t2\n',
    ".txt": b"one\ntwo\n\nthree\r\n\r\nfour",
}
PIECES = [
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\r", b"\n", b"\r\n", b'"', b",", b"\t", b"\\", b"="),
    *(b"{", b"}", b"[", b"]", b"'", b"\xed\xa0\x80", b"\xe2\x80\xa8", b" " * 500, b"x" * 200_000),
]
VALUES = [
    *(DIGITS.encode(), b"-1", b"1.5", b"1e999", b"NaN", b"-Infinity", b"null", b"true", b"[]"),
    *(b"{}", b'""', b'"\\ud800"', b'"\\u0000"', b'"assistant"', b"[[1], [1, 2]]", b"[1, [2, [3]]]"),
    *(b"9223372036854775808", b"18446744073709551616", b"[" * 90 + b"]" * 90, b"[" * 3000),
]
VALUE = re.compile(rb'"[^"\n]*"|\[[^\[\]\n]*\]|\d+')


def mutant(data, chance):
    """The bytes with up to three things wrong."""
    for _ in range(chance.randint(1, 3)):
        start, stop = sorted(chance.choices(range(len(data) + 1), k=2))
        spots = [found.span() for found in VALUE.finditer(data)] or [(start, stop)]
        first, last = chance.choice(spots)
        data = chance.choice(
            [
                data[:start] + chance.choice(PIECES) + data[start:],
                data[:first] + chance.choice(VALUES) + data[last:],
                data[:start] + data[stop:],
                data[:start] + bytes([chance.randrange(256)]) + data[start + 1 :],
                data[:stop] + data[start:stop] * 2 + data[stop:],
            ]
        )
    return data


def test_mutants_of_every_kind_of_file_are_read_or_refused_by_name(bytewise, tmp_path):
    chance, outcomes = random.Random(7), []
    for _ in range(MUTANTS):
        ending = chance.choice(list(SEEDS))
        path = tmp_path / f"a{ending}"
        path.write_bytes(mutant(SEEDS[ending], chance))
        try:
            examples = read_examples(path, bytewise)
            facts_of(examples)
            for example in examples:
                preview(example, bytewise.tokenizer)
            list(Batches(examples, 2).validation())
            outcomes.append("read")
        except WorkbenchError as error:
            assert len(str(error)) <= 2000
            outcomes.append("refused")
    assert min(map(outcomes.count, ("read", "refused"))) > MUTANTS / 10


# -- cells that spreadsheets would compute --------------------------------------------------

SIGNS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]
CELLS = [sign + rest for sign in SIGNS for rest in ("", "1+1", "cmd|' /C calc'!A0")]
TEXTS = [*CELLS, *(f"'{cell}" for cell in CELLS), *(f"''{cell}" for cell in CELLS)]
PLAIN = ["", "a", "a=1", " =1", "'", "'a", "''", "1;=1", "ünï", 'a "quoted" text']


def row_of(text):
    return dict.fromkeys(COMPARISON, text) | {"tokens": 3, "mean_logprob": -0.5}


def test_no_text_begins_as_a_formula_and_all_come_back(tmp_path):
    texts = [*TEXTS, *PLAIN]
    made = csv_of(COMPARISON, map(row_of, texts))
    assert [record["text"] for record in records(tmp_path / "a.csv", made)] == texts
    for text in texts:
        assert not guarded(text).startswith(tuple(SIGNS)) and unguarded(guarded(text)) == text
    assert all(guarded(text) == text for text in PLAIN)


def test_numbers_stay_numbers_and_texts_are_quoted():
    made = csv_of(COMPARISON, [row_of("a;=1")]).splitlines()
    assert made[1] == '"a;=1","a;=1","a;=1",3,"a;=1",-0.5,"a;=1"'


def test_an_apostrophe_in_somebody_elses_table_is_theirs(tmp_path):
    made = records(tmp_path / "a.csv", "prompt,response\njoin,'-'.join(words)\n")
    assert made == [{"prompt": "join", "response": "'-'.join(words)"}]
