"""Changes of a model that are broken off: it is what it was, or what it was to be."""

from __future__ import annotations

import itertools
import os
import threading

import numpy as np
import pytest
from interruptions import (
    Batches,
    Moments,
    Trial,
    broken_off,
    calls,
    check_scopes,
    fit,
    interrupt,
    make_lm,
    no_memory,
    state_of,
    text_of,
    without_adapters,
)

from workbench.backbones.layers import named
from workbench.errors import MemoryTooSmallError, PresetError
from workbench.tasks.causal_lm import CausalLM

MOMENTS = int(os.environ.get("WORKBENCH_INTERRUPTIONS", "6"))
QUICK = (
    "quantize int8",
    "quantize int4",
    "adapters.add",
    "adapters.use",
    "adapters.use(None)",
    "adapters.using",
    "adapters.load h5",
    "adapters.load PEFT",
    "adapters[...] =",
    "adapters.remove",
    "adapters.merge",
    "adapters.unmerge",
    "enable_lora",
    "load_weights",
    "set_weights",
    "trainable =",
    "dtype_policy =",
    "compile",
    "from_preset",
)
SLOW = ("fit", "fit an adapter", "Trainer", "generate", "trace")  # they trace programs


pytestmark = [
    # Keras, when it writes a file of weights.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # An interrupt that comes in a callback of the garbage collector is lost.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def all_calls(tmp_path_factory):
    made = calls(tmp_path_factory.mktemp("calls"))
    assert set(made) == {*QUICK, *SLOW}
    return made


@pytest.fixture(scope="module")
def trials(all_calls):
    made = {}
    return lambda name: made.setdefault(name, Trial(all_calls[name]))


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
@pytest.mark.parametrize("act", [interrupt, no_memory])
def test_a_call_that_is_broken_off_leaves_the_old_model_or_the_new(trials, name, act):
    trial, everywhere = trials(name), act is interrupt
    count = max(1, MOMENTS // 6) if name in SLOW else MOMENTS
    last = trial.moments(everywhere)
    at = sorted(int(share * last) for share in np.random.default_rng(len(name)).random(count))
    outcomes = {}
    for k in at:
        moments = Moments(k, act, everywhere)
        outcomes[k] = trial.run(lambda call, m=moments: broken_off(call, m), writes=k == at[-1])
    assert "neither" not in outcomes.values(), outcomes


def test_a_second_interrupt_waits_for_the_model_to_be_put_back():
    lm = make_lm()
    before = state_of(lm)

    class EveryMoment(Moments):
        def __call__(self, frame, event, argument):
            self.count += 1
            if self.count > 3000 and event == "call" and "all_or_nothing" in str(frame.f_code):
                interrupt()

    broken_off(lm.adapters.merge, EveryMoment(None, interrupt))
    assert state_of(lm) == before
    check_scopes()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError, MemoryTooSmallError),
        (KeyboardInterrupt, KeyboardInterrupt),
        (SystemExit, SystemExit),
    ],
)
def test_whatever_stops_the_last_layer_the_first_is_put_back(monkeypatch, error, told):
    lm = make_lm()
    before, text = state_of(lm), text_of(lm)
    number = itertools.count()
    right = named.delete_variable

    def fail(layer, name):
        if next(number) == 10:
            raise error("at the last layer")
        right(layer, name)

    monkeypatch.setattr(named, "delete_variable", fail)
    with pytest.raises(told):
        lm.quantize("int8")
    monkeypatch.undo()
    assert (state_of(lm), text_of(lm)) == (before, text)
    lm.quantize("int8")
    assert lm.backbone.quantization == "int8"


def test_threads_that_read_a_model_meet_no_half_of_a_change():
    lm = make_lm()
    lm.adapters.use("b")
    texts = {name: None for name in "ab"}
    for name in texts:
        lm.adapters.use(name)
        texts[name] = text_of(lm)
    assert texts["a"] != texts["b"]
    written, stop = [], threading.Event()

    def write():
        while not stop.is_set():
            written.append(text_of(lm))

    thread = threading.Thread(target=write)
    thread.start()
    while len(written) < 20:
        for name in texts:
            lm.adapters.use(name)
    stop.set()
    thread.join()
    assert set(written) <= set(texts.values())


def test_a_model_that_is_neither_is_not_saved(tmp_path):
    lm = without_adapters()
    layers = [layer for layer in lm.backbone._flatten_layers() if layer.name == "query"]
    layers[0].quantize("int8")
    with pytest.raises(PresetError, match="interrupted halfway") as caught:
        lm.save_to_preset(tmp_path / "preset")
    assert "attention/query" in str(caught.value)
    with pytest.raises(PresetError):
        lm.export_to_transformers(tmp_path / "export")

    lm = make_lm()
    next(iter(lm.adapters.kept["a"].updates.values())).b.value.delete()
    for save in (lm.save_to_preset, lm.adapters.save, lambda path: lm.adapters.save(path, "b")):
        with pytest.raises(PresetError, match="lora_b: expected a value, got none"):
            save(tmp_path / "x")

    lm = without_adapters()
    lm.backbone.variables[0]._value.delete()
    with pytest.raises(PresetError, match="expected a value, got none"):
        lm.save_to_preset(tmp_path / "preset")
    assert not list(tmp_path.iterdir())


def test_training_that_fails_between_steps_keeps_the_finished_ones():
    lm, twin = without_adapters(), without_adapters()

    class Failing(Batches):
        def __getitem__(self, index):
            if index == 2:
                raise OSError("no such batch")
            return super().__getitem__(index)

    fit(twin, 2)
    with pytest.raises(OSError, match="no such batch"):
        lm.fit(Failing(4), shuffle=False, verbose=0)
    assert state_of(lm) == state_of(twin)
    fit(lm, 1)


def test_a_model_loads_after_all_of_this(all_calls, trials):
    lm, load = trials("from_preset").lm, all_calls["from_preset"].change
    first, second = (CausalLM(load(lm), lm.preprocessor) for _ in range(2))
    assert text_of(first) == text_of(second)
