"""Comparisons: columns that take turns write what each would write alone."""

import csv
import dataclasses
import math
import random
import threading
import time

import numpy as np
import pytest
from compare_doubles import ComparedLM
from doubles import FakeLM
from patience import HANG
from tune_doubles import tiny_lm

import workbench as wb
from workbench.data.files import records_of_file
from workbench.errors import AdapterError, PresetError, PromptError, SettingError
from workbench.generation.events import Done, Token
from workbench.jobs.comparison import Column, ColumnEvent, ComparisonJob
from workbench.jobs.comparison_table import csv_of, markdown_of
from workbench.jobs.generation import GenerationJob, JobState

PROMPTS = ["Once upon", "The sea, | or"]
WRITE = {"max_new_tokens": 12, "seed": 5}


def adapt(lm, name, seed):
    """An adapter that changes what the model writes."""
    noise = np.random.default_rng(seed)
    fresh = lm.adapters.add(name, rank=2, seed=seed)
    updates = {
        path: update._replace(b=noise.normal(size=update.b.shape).astype("float32"))
        for path, update in fresh.updates.items()
    }
    lm.adapters[name] = dataclasses.replace(fresh, updates=updates)
    lm.adapters.use(None)


@pytest.fixture(scope="module")
def lm():
    lm = tiny_lm()
    for seed, name in enumerate(("pirate", "poet"), 1):
        adapt(lm, name, seed)
    return lm


@pytest.fixture(scope="module")
def other():
    return tiny_lm("gpt2", 64)


def alone(column, prompt, **settings):
    with column.lm.adapters.using(column.adapter):
        return column.lm.generate(
            prompt, strip_prompt=True, sampler=column.sampler, **{**WRITE, **settings}
        )


def run(columns, prompts=PROMPTS, **settings):
    events = []
    job = ComparisonJob(columns, prompts, **{**WRITE, **settings}, on_event=events.append)
    job.run()
    assert job.status == "done", job.traceback
    return job, events


# -- what the columns write -----------------------------------------------------------------


def test_adapters_of_one_model_write_what_each_writes_alone(lm):
    columns = [Column(lm, adapter=name) for name in ("pirate", None, "poet")]
    with lm.adapters.using("poet"):
        job, _ = run(columns)
        assert lm.adapters.active == "poet"
    texts = [[result.text for result in row] for row in job.results]
    assert texts == [[alone(column, prompt) for column in columns] for prompt in PROMPTS]
    assert len(set(texts[0])) == 3
    assert job.titles == ["pirate", "no adapter", "poet"]


def test_samplers_of_one_model_write_what_each_writes_alone(lm):
    samplers = ["greedy", wb.samplers.TopPSampler(p=0.9), wb.samplers.TopPSampler(p=0.9), None]
    columns = [Column(lm, sampler=sampler) for sampler in samplers]
    job, _ = run(columns)
    texts = [result.text for result in job.results[0]]
    assert texts == [alone(column, PROMPTS[0]) for column in columns]
    assert texts[1] == texts[2] != texts[0]
    assert job.titles == [
        "greedy",
        "TopPSampler(p=0.9) (1)",
        "TopPSampler(p=0.9) (2)",
        "TopKSampler()",
    ]


def test_two_models_write_what_each_writes_alone(lm, other):
    columns = [
        Column(lm, adapter="poet"),
        Column(other, title="the other", max_new_tokens=7, seed=9),
    ]
    job, _ = run(columns)
    assert job.results[1][0].text == alone(columns[0], PROMPTS[1])
    assert job.results[1][1].text == alone(columns[1], PROMPTS[1], max_new_tokens=7, seed=9)
    assert job.titles[1] == "the other" and "poet" in job.titles[0]
    assert len(job.results[1][1].tokens) <= 7


def test_columns_take_turns_token_by_token(lm, other):
    columns = [Column(lm, adapter="pirate"), Column(other), Column(lm, adapter=None)]
    job, events = run(columns, PROMPTS[0], max_new_tokens=6)
    tokens = [e.column for e in events if isinstance(e, ColumnEvent) and isinstance(e.event, Token)]
    assert tokens[:15] == [0, 1, 2] * 5
    ends = [e for e in events if isinstance(e, ColumnEvent) and isinstance(e.event, Done)]
    assert sorted(e.column for e in ends) == [0, 1, 2] and {e.prompt for e in ends} == {0}
    assert job.prompts == (PROMPTS[0],)
    assert [e.status for e in events if isinstance(e, JobState)][-1] == "done"


def test_a_fresh_seed_is_the_same_in_all_columns(lm):
    job, _ = run([Column(lm, sampler="random")] * 2, seed=None)
    assert job.results[0][0].text == job.results[0][1].text


def test_other_adapters_of_a_rank_compile_nothing(lm):
    columns = [Column(lm, adapter=name, sampler="top_p") for name in ("pirate", None)]
    run(columns)
    programs = lm.programs.prefill, lm.programs.step
    before = [program._cache_size() for program in programs]
    sampler = wb.samplers.TopPSampler(p=0.5, temperature=0.7)
    _, events = run([Column(lm, adapter="poet", sampler=sampler), columns[1]], seed=99)
    assert [program._cache_size() for program in programs] == before
    states = [event.status for event in events if isinstance(event, JobState)]
    assert states == ["running", "done"]


def test_the_figures_are_those_of_the_tokens(lm):
    job, _ = run([Column(lm), Column(lm, sampler="greedy")])
    result = job.results[0][1]
    logprobs = [token.logprob for token in result.tokens]
    assert result.mean_logprob == pytest.approx(sum(logprobs) / len(logprobs))
    assert result.perplexity == pytest.approx(math.exp(-sum(logprobs) / len(logprobs)))
    assert all(token.alternatives for token in result.tokens)
    assert result.stats.prompt_tokens == lm.prompt_tokens(PROMPTS[0])
    assert result.stats.new_tokens == len(result.tokens)
    assert result.reason in ("stop", "length")


# -- times ----------------------------------------------------------------------------------


def test_a_column_is_charged_its_own_time_alone():
    slow, quick = ComparedLM(delay=0.1), ComparedLM()
    began = time.monotonic()
    job, _ = run([Column(slow), Column(quick)], ["a"], max_new_tokens=15)
    took = time.monotonic() - began
    spent = [result.stats.decode_seconds for result in job.results[0]]
    assert spent[0] >= 14 * 0.1 and spent[1] <= took - 14 * 0.1, "what the slow one sleeps"
    rates = [result.tokens_per_second for result in job.results[0]]
    assert rates[0] <= 10
    assert rates[1] == pytest.approx(job.results[0][1].stats.new_tokens / spent[1], rel=0.2)


def test_nothing_of_a_column_is_computed_in_the_turn_of_another(lm, monkeypatch):
    """A step is dispatched only when its column is asked for the token."""
    from workbench.generation.programs import Run

    steps, seen = [], []
    step = Run.step
    monkeypatch.setattr(Run, "step", lambda self: (steps.append(self), step(self))[1])
    columns = [Column(lm), Column(lm, sampler="greedy")]
    job = ComparisonJob(
        columns, PROMPTS[:1], **WRITE, on_event=lambda event: seen.append((event, len(steps)))
    )
    job.run()
    tokens = [n for e, n in seen if isinstance(e, ColumnEvent) and isinstance(e.event, Token)]
    assert tokens == [0, 0, *range(1, len(tokens) - 1)]  # the first ones come from prefill


# -- ends -----------------------------------------------------------------------------------


def test_a_column_that_fails_says_why_and_the_others_go_on(lm):
    beam = wb.samplers.BeamSampler(num_beams=2)
    columns = [Column(lm, adapter="poet", sampler=beam), Column(lm, adapter="pirate")]
    job, events = run(columns)
    failed, fine = job.results[0]
    assert isinstance(failed.error, SettingError) and "BeamSampler" in failed.traceback
    assert failed.text == "" and failed.reason is None and failed.mean_logprob is None
    assert fine.text == alone(columns[1], PROMPTS[0])
    assert lm.adapters.active is None
    told = [e.event for e in events if isinstance(e, ColumnEvent) and e.column == 0]
    assert told == [failed, job.results[1][0]]
    assert job.table()[0]["reason"].startswith("error: stream: BeamSampler")


def test_a_column_may_fail_in_the_middle(lm):
    column = Column(lm, adapter="poet")
    job, _ = run([Column(ComparedLM(fail_at=3)), column], PROMPTS[:1])
    assert len(job.results[0][0].tokens) == 3 and str(job.results[0][0].error) == "the model broke"
    assert job.results[0][1].text == alone(column, PROMPTS[0])


def test_a_job_in_which_all_columns_fail_has_failed(lm):
    job = ComparisonJob([Column(lm, sampler="beam")] * 2, PROMPTS)
    job.run()
    assert job.status == "error" and isinstance(job.error, SettingError) and job.traceback


@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[:1]])
def test_cancel_keeps_what_is_written(lm, prompts):
    job = None

    def stop(event):
        if isinstance(event, ColumnEvent) and len(job.results[0][1].tokens) == 4:
            job.cancel()

    job = ComparisonJob([Column(lm, adapter="poet"), Column(lm)], prompts, **WRITE, on_event=stop)
    job.start()
    assert job.wait(HANG) and job.status == "cancelled"
    assert [len(result.tokens) for result in job.results[0]] == [4, 4]
    assert {result.reason for row in job.results for result in row} == {"cancelled"}
    assert job.results[0][0].text == alone(job.columns[0], PROMPTS[0], max_new_tokens=4)
    assert lm.adapters.active is None
    assert GenerationJob(lm, "a", max_new_tokens=1, sampler="greedy").run() != ""


def test_an_interrupt_in_the_foreground_keeps_what_is_written(lm):
    def interrupt(event):
        if isinstance(event, ColumnEvent):
            raise KeyboardInterrupt

    job = ComparisonJob([Column(lm, adapter="poet")], PROMPTS, **WRITE, on_event=interrupt)
    job.run()
    assert job.status == "cancelled" and len(job.results[0][0].tokens) == 1
    assert lm.adapters.active is None


# -- the lines of the models ----------------------------------------------------------------


class Slow(ComparedLM):
    """A model that takes its time, and breaks when two write with it at once."""

    def __init__(self):
        super().__init__(delay=0.001, stop_at=3)

    stream = FakeLM.stream


def test_jobs_that_name_the_same_models_in_any_order_all_come_to_their_end():
    models = [Slow() for _ in range(3)]
    choose = random.Random(0)
    jobs = [
        ComparisonJob([Column(m) for m in choose.sample(models, choose.choice((2, 3)))], "a b")
        for _ in range(24)
    ]
    jobs += [GenerationJob(choose.choice(models), "a b") for _ in range(12)]
    choose.shuffle(jobs)
    gate = threading.Barrier(4)

    def begin(some):
        gate.wait()
        for job in some:
            job.start()

    threads = [threading.Thread(target=begin, args=(jobs[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + HANG
    for job in jobs:
        while job.status == "idle":
            time.sleep(0.001)
        assert job.wait(max(0, deadline - time.monotonic())), job.status
        assert job.status == "done", job.traceback
    for job in jobs:
        if isinstance(job, ComparisonJob):
            assert [result.reason for result in job.results[0]] == ["stop"] * len(job.columns)


def test_a_job_waits_for_all_of_its_models():
    first, second = Slow(), Slow()
    release = threading.Event()
    hold = GenerationJob(second, "a", on_event=lambda event: release.wait(HANG))
    hold.start()
    job = ComparisonJob([Column(first), Column(second)], "a")
    job.start()
    after = GenerationJob(first, "a")
    after.start()
    time.sleep(0.05)
    assert job.status == "queued" and job.position == 1
    assert after.status == "queued" and after.position == 1
    job.cancel()
    assert job.wait(HANG) and job.status == "cancelled"
    assert after.wait(HANG) and after.status == "done"
    release.set()
    assert hold.wait(HANG)


# -- what is refused ------------------------------------------------------------------------


def test_impossible_comparisons_are_refused(lm):
    with pytest.raises(SettingError, match="at least one column"):
        ComparisonJob([], "a")
    with pytest.raises(PromptError, match="at least one prompt"):
        ComparisonJob([Column(lm)], [])
    with pytest.raises(PromptError, match="prompt 1"):
        ComparisonJob([Column(lm)], ["a", 7])
    with pytest.raises(AdapterError, match="parrot"):
        Column(lm, adapter="parrot")
    with pytest.raises(SettingError, match="nucleus"):
        Column(lm, sampler="nucleus")
    with pytest.raises(SettingError, match="from_preset"):
        Column("stories_tiny_en")


def test_a_column_has_the_adapter_at_work_when_it_was_made(lm):
    with lm.adapters.using("poet"):
        column = Column(lm)
    assert column.adapter == "poet" and Column(lm).adapter is None


# -- the table ------------------------------------------------------------------------------

NASTY = 'a "quoted", text\nwith | two * lines, $x$ and <b>'


def rows():
    row = {"prompt": "=1+1", "column": "c, d", "text": NASTY, "tokens": 3}
    return [{**row, "tokens_per_second": 1.5, "mean_logprob": None, "reason": "stop"}]


def test_csv_is_read_back_as_it_was(lm, tmp_path):
    (read,) = csv.DictReader(csv_of(rows()).splitlines(keepends=True))
    as_it_was = {k: "" if v is None else str(v) for k, v in rows()[0].items()}
    assert read == {**as_it_was, "prompt": "'=1+1"}  # which a spreadsheet does not compute
    (tmp_path / "read.csv").write_text(csv_of(rows()), newline="")
    assert [record for _, record in records_of_file(tmp_path / "read.csv")] == [as_it_was]
    job, _ = run([Column(lm), Column(lm, sampler="greedy")])
    job.to_csv(tmp_path / "made" / "table.csv")
    with (tmp_path / "made" / "table.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [row["text"] for row in read] == [row["text"] for row in job.table()]
    assert [row["prompt"] for row in read] == [PROMPTS[0]] * 2 + [PROMPTS[1]] * 2
    with pytest.raises(PresetError, match="expected a file, got a folder"):
        job.to_csv(tmp_path)


def test_markdown_takes_nothing_for_markup(lm):
    head, rule, line = markdown_of(rows()).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|") - 1 == 8
    assert r"with \| two \* lines, \$x\$ and \<b\>" in line and "text<br>with" in line
    job, _ = run([Column(lm)])
    assert job.to_markdown().count("\n") == 2 + len(PROMPTS)
