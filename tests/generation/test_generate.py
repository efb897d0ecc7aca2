"""Generation keeps its promises: cached equals full, a batch equals its rows, a stream equals
generate, seeds repeat, and nothing compiles that need not."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from tiny import tiny_backbone, whole_logits

import workbench as wb
from workbench.errors import PromptError, SettingError
from workbench.generation.events import Done, Status, Token
from workbench.samplers import GreedySampler, RandomSampler, TopKSampler, TopPSampler

PROMPTS = ["Hi", "The quick brown fox", "née 火"]


def greedy_without_a_cache(lm, prompt, count):
    """The slow, obvious way: the whole sequence again for every token."""
    ids = lm.preprocessor.prompt_ids(prompt)
    for _ in range(count):
        ids = [*ids, int(np.argmax(whole_logits(lm.backbone, [ids])[0, -1]))]
    return ids


def new_ids(lm, prompts, **settings):
    """Token ids per row, from the stream's events."""
    rows = {}
    for event in lm.stream(prompts, stop_token_ids=None, **settings):
        if isinstance(event, Token):
            rows.setdefault(event.row, []).append(event.id)
    return [rows[row] for row in sorted(rows)]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_cache_changes_nothing(tiny_lm, prompt):
    made = new_ids(tiny_lm, prompt, sampler="greedy", max_new_tokens=9)[0]
    expected = greedy_without_a_cache(tiny_lm, prompt, 9)
    assert made == expected[-9:]


@pytest.mark.parametrize("sampler", [GreedySampler(), RandomSampler(), TopPSampler(p=0.8)])
def test_a_batch_equals_its_rows_alone(tiny_lm, sampler):
    together = new_ids(tiny_lm, PROMPTS, sampler=sampler, max_new_tokens=12, seed=40)
    for row, prompt in enumerate(PROMPTS):
        alone = new_ids(tiny_lm, prompt, sampler=sampler, max_new_tokens=12, seed=40 + row)
        assert together[row] == alone[0]


def test_a_stream_says_what_generate_returns(tiny_lm):
    settings = {"sampler": TopKSampler(k=20), "seed": 3, "max_new_tokens": 15}
    events = list(tiny_lm.stream(PROMPTS, **settings))
    texts = tiny_lm.generate(PROMPTS, strip_prompt=True, **settings)
    whole = tiny_lm.generate(PROMPTS, **settings)
    done = [event for event in events if isinstance(event, Done)]
    for row, text in enumerate(texts):
        parts = [e.text for e in events if isinstance(e, Token) and e.row == row]
        end = next(event for event in done if event.row == row)
        assert "".join(parts) + end.tail == text == end.text
        assert whole[row] == PROMPTS[row] + text
    assert len(done) == len(PROMPTS)


def test_events_come_in_order_and_carry_their_probabilities(tiny_lm):
    events = list(tiny_lm.stream("Hi", sampler="greedy", max_new_tokens=5, stop_token_ids=None))
    stages = [event.stage for event in events if isinstance(event, Status)]
    assert next(stage for stage in stages if stage != "compiling") == "prefill"
    assert stages[-1] == "streaming"
    tokens = [event for event in events if isinstance(event, Token)]
    for token in tokens:
        best = token.alternatives[0]
        assert (token.id, token.logprob) == (best.id, pytest.approx(best.logprob))
        ordered = [other.logprob for other in token.alternatives]
        assert ordered == sorted(ordered, reverse=True) and len(ordered) == 5
    ids = tiny_lm.preprocessor.prompt_ids("Hi")
    expected = jax.nn.log_softmax(whole_logits(tiny_lm.backbone, [ids])[0, -1])
    assert tokens[0].logprob == pytest.approx(float(expected.max()), abs=1e-4)
    assert isinstance(events[-1], Done) and events[-1].reason == "length"
    assert events[-1].stats.new_tokens == 5


def test_seeds_repeat_and_differ(tiny_lm):
    def run(seed):
        return new_ids(tiny_lm, "Hi", sampler="random", max_new_tokens=20, seed=seed)

    assert run(1) == run(1)
    assert run(1) != run(2)
    fresh = [new_ids(tiny_lm, "Hi", sampler="random", max_new_tokens=20) for _ in range(2)]
    assert fresh[0] != fresh[1]


def test_a_samplers_own_seed_is_used(tiny_lm):
    def run():
        return new_ids(tiny_lm, "Hi", sampler=RandomSampler(seed=5), max_new_tokens=20)

    assert run() == run() == new_ids(tiny_lm, "Hi", sampler="random", max_new_tokens=20, seed=5)


def test_a_run_ends_at_its_stop_token(tiny_lm):
    free = new_ids(tiny_lm, "Hi", sampler="greedy", max_new_tokens=20)[0]
    stop = free[4]
    events = list(tiny_lm.stream("Hi", sampler="greedy", max_new_tokens=20, stop_token_ids=(stop,)))
    made = [event.id for event in events if isinstance(event, Token)]
    assert made == free[: free.index(stop) + 1]
    assert events[-1].reason == "stop"


def test_rows_stop_by_themselves(tiny_lm):
    free = new_ids(tiny_lm, PROMPTS, sampler="greedy", max_new_tokens=20)
    stop = free[0][3]
    ended = [row[: row.index(stop) + 1] if stop in row else row for row in free]
    rows = {}
    for event in tiny_lm.stream(
        PROMPTS, sampler="greedy", max_new_tokens=20, stop_token_ids=[stop]
    ):
        if isinstance(event, Token):
            rows.setdefault(event.row, []).append(event.id)
    assert [rows[row] for row in range(3)] == ended


def test_max_length_counts_the_prompt_and_max_new_tokens_does_not(tiny_lm):
    lengths = [len(tiny_lm.preprocessor.prompt_ids(prompt)) for prompt in PROMPTS]
    made = new_ids(tiny_lm, PROMPTS, sampler="greedy", max_length=30)
    assert [len(row) for row in made] == [30 - length for length in lengths]
    made = new_ids(tiny_lm, PROMPTS, sampler="greedy", max_new_tokens=6)
    assert [len(row) for row in made] == [6, 6, 6]
    made = new_ids(tiny_lm, PROMPTS, sampler="greedy", max_length=22, max_new_tokens=6)
    assert [len(row) for row in made] == [min(6, 22 - length) for length in lengths]


def test_closing_a_stream_cancels_and_leaves_nothing_behind(tiny_lm):
    settings = {"sampler": "random", "seed": 8, "max_new_tokens": 30}
    expected = tiny_lm.generate("Hi", **settings)
    events = tiny_lm.stream("Hi", **settings)
    for _ in range(5):
        next(events)
    events.close()
    assert tiny_lm.generate("Hi", **settings) == expected


class Compilations:
    """Counts what XLA compiles while the block runs."""

    def __enter__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *_):
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event, duration, **_):
        self.count += event == "/jax/core/compile/backend_compile_duration"


def test_only_a_new_shape_compiles(tiny_lms):
    lm = tiny_lms["llama"]
    lm.generate("Hello there", max_new_tokens=20, seed=1)
    with Compilations() as compiled:
        lm.generate("Hello there", max_new_tokens=20, seed=2)
        lm.generate("Good day", max_new_tokens=20, seed=2)
        lm.generate("Hello", max_new_tokens=9, stop_token_ids=(4, 5, 6))
        lm.generate("Hello", max_new_tokens=9, stop_token_ids=None)
        for sampler in (
            "greedy",
            RandomSampler(temperature=0.3),
            TopKSampler(k=7, temperature=0.9),
            TopPSampler(p=0.5, k=9, min_p=0.1),
            RandomSampler(repetition_penalty=1.2, presence_penalty=0.1, frequency_penalty=0.1),
        ):
            lm.generate("Hello", max_new_tokens=9, sampler=sampler)
        assert not any(
            event == Status("compiling") for event in lm.stream("Hello", max_new_tokens=5)
        )
    assert compiled.count == 0
    with Compilations() as compiled:
        lm.generate(["Hello", "a second row"], max_new_tokens=20)
    assert compiled.count > 0


def test_arrays_in_arrays_out(tiny_lms):
    lm = tiny_lms["gpt2"]
    arrays = lm.preprocessor.generate_preprocess(PROMPTS[:2], sequence_length=24)
    kept = {key: value.copy() for key, value in arrays.items()}
    out = lm.generate(arrays, stop_token_ids=None, sampler="greedy")
    for row, prompt in enumerate(PROMPTS[:2]):
        expected = greedy_without_a_cache(lm, prompt, 24 - kept["padding_mask"][row].sum())
        np.testing.assert_array_equal(out["token_ids"][row], expected)
    assert out["padding_mask"].all()
    for key in arrays:
        np.testing.assert_array_equal(arrays[key], kept[key])
    one = lm.generate({k: v[0] for k, v in arrays.items()}, stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(one["token_ids"], out["token_ids"][0])
    completion = lm.generate(arrays, stop_token_ids=None, sampler="greedy", strip_prompt=True)
    length = kept["padding_mask"][0].sum()
    np.testing.assert_array_equal(
        completion["token_ids"][0][: 24 - length], out["token_ids"][0][length:]
    )


def test_a_stop_token_ends_the_padding_mask(tiny_lms):
    lm = tiny_lms["gpt2"]
    arrays = lm.preprocessor.generate_preprocess("Hi", sequence_length=20)
    free = lm.generate(arrays, stop_token_ids=None, sampler="greedy")["token_ids"]
    stop = int(free[6])
    first = int(np.flatnonzero(free[3:] == stop)[0]) + 3
    out = lm.generate(arrays, stop_token_ids=(stop,), sampler="greedy")
    assert out["padding_mask"].sum() == first + 1


def test_batches_from_any_iterable(tiny_lms):
    lm = tiny_lms["llama"]
    settings = {"sampler": "greedy", "max_new_tokens": 4}
    expected = lm.generate(PROMPTS, **settings)
    batches = (np.array(batch, dtype=object) for batch in (PROMPTS[:2], PROMPTS[2:]))
    assert lm.generate(batches, **settings) == expected
    encoded = [[text.encode() for text in PROMPTS]]
    assert lm.generate(encoded, **settings) == expected
    assert lm.generate([], **settings) == []
    assert lm.generate(np.array(PROMPTS), **settings) == expected


def test_choosing_a_sampler_keeps_the_optimizer(tiny_lms):
    lm = tiny_lms["llama"]
    optimizer = lm.optimizer
    lm.compile(sampler="greedy")
    assert lm.optimizer is optimizer
    assert isinstance(lm.sampler, GreedySampler)
    lm.compile(sampler=TopKSampler(k=3))
    assert lm.sampler.k == 3


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"max_length": 0}, SettingError),
        ({"max_length": -3}, SettingError),
        ({"max_length": 2.5}, SettingError),
        ({"max_new_tokens": 0}, SettingError),
        ({"seed": -1}, SettingError),
        ({"seed": 1.5}, SettingError),
        ({"seed": 2**32}, SettingError),
        ({"stop_token_ids": (-1,)}, SettingError),
        ({"stop_token_ids": (257,)}, SettingError),
        ({"stop_token_ids": (1.0,)}, SettingError),
        ({"stop_token_ids": "always"}, SettingError),
        ({"stop_token_ids": 5}, SettingError),
        ({"sampler": "beem"}, SettingError),
        ({"sampler": TopKSampler(k=300)}, SettingError),
        ({"max_length": 3}, PromptError),
    ],
)
def test_impossible_settings_are_named_before_anything_runs(tiny_lms, settings, error):
    with Compilations() as compiled, pytest.raises(error):
        tiny_lms["llama"].generate("Hello", **settings)
    assert compiled.count == 0


def test_prompts_that_leave_no_room_name_both_lengths(tiny_lms):
    with pytest.raises(PromptError, match=r"65 tokens.* 64"):
        tiny_lms["llama"].generate("x" * 64)
    with pytest.raises(PromptError, match=r"31 tokens.* 20"):
        tiny_lms["llama"].generate("x" * 30, max_length=20)
    with pytest.raises(SettingError, match="64"):
        tiny_lms["gpt2"].generate("x", max_length=65)


@pytest.mark.parametrize("inputs", [5, None, [1, 2], ["a", None], [["a"], "b"]])
def test_prompts_must_be_text(tiny_lms, inputs):
    with pytest.raises(PromptError):
        tiny_lms["llama"].generate(inputs)


def test_without_a_preprocessor_text_is_a_named_error_and_nothing_stops_a_row(tiny_lms):
    bare = wb.models.CausalLM(tiny_lms["llama"].backbone)
    with pytest.raises(SettingError, match="preprocessor"):
        bare.generate("Hello")
    arrays = {"token_ids": np.ones((1, 8), int), "padding_mask": np.arange(8)[None] < 3}
    made = bare.generate(arrays, sampler="greedy")
    assert made["padding_mask"].all()
    to_the_limit = bare.generate(arrays, stop_token_ids=None, sampler="greedy")
    np.testing.assert_array_equal(made["token_ids"], to_the_limit["token_ids"])


def test_left_padding_is_refused(tiny_lms):
    arrays = {"token_ids": np.ones((1, 8), int), "padding_mask": np.arange(8)[None] > 3}
    with pytest.raises(PromptError, match="right"):
        tiny_lms["llama"].generate(arrays, stop_token_ids=None)


def test_training_on_strings_lowers_the_loss(tiny_lms):
    lm = wb.models.CausalLM(tiny_backbone("llama"), tiny_lms["llama"].preprocessor)
    lm.compile(optimizer="adam")
    texts = ["the cat sat", "the dog sat"] * 4
    history = lm.fit(texts, epochs=3, batch_size=4, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
