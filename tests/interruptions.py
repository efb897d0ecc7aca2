"""Calls that change a model, broken off at any moment: what is the model afterwards?"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import keras
import numpy as np
from keras.src.backend.common import global_state
from tiny import byte_tokenizer, tiny_backbone

import workbench as wb
from workbench.backbones.adapter import Adapter, LowRank
from workbench.backbones.all_or_nothing import _Before
from workbench.errors import MemoryTooSmallError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tuning.settings import TuneSettings
from workbench.tuning.trainer import Trainer

OWN = ("/workbench/", "/keras/")
NOT_INTERRUPTED = ("/all_or_nothing.py", "/interrupts.py")
SCOPES = ("stateless_scope", "symbolic_scope", "autocast_scope", "current_call_ctx")


# -- the model ----------------------------------------------------------------------------


def make_lm() -> CausalLM:
    """A tiny model with two adapters that matter, the first at work."""
    lm = CausalLM(tiny_backbone("llama"), CausalLMPreprocessor(byte_tokenizer(), 64))
    for seed, name in enumerate("ab"):
        adapter = lm.adapters.add(name, rank=2, seed=seed, targets="all" if seed else None)
        random = np.random.default_rng(seed)
        updates = {
            path: LowRank(u.a, random.normal(0, 0.3, u.b.shape).astype("float32"), u.scale)
            for path, u in adapter.updates.items()
        }
        lm.adapters[name] = Adapter(adapter.config, updates)
    lm.adapters.use("a")
    return lm


def without_adapters() -> CausalLM:
    return CausalLM(tiny_backbone("llama"), CausalLMPreprocessor(byte_tokenizer(), 64))


def batches(count: int) -> list[Any]:
    random = np.random.default_rng(0)
    made = []
    for _ in range(count):
        ids = random.integers(0, 257, (2, 17)).astype("int32")
        inputs = {"token_ids": ids[:, :-1], "padding_mask": np.ones((2, 16), "int32")}
        made.append((inputs, ids[:, 1:], np.ones((2, 16), "float32")))
    return made


class Batches(keras.utils.PyDataset):
    """Batches of arrays, as many as asked for."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._batches = batches(count)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        return self._batches[index]


def fit(lm: CausalLM, steps: int = 3) -> None:
    lm.fit(Batches(steps), shuffle=False, verbose=0)


def trainer_step(lm: CausalLM) -> None:
    from workbench.data.batches import Batch

    ((inputs, labels, weights),) = batches(1)
    settings = TuneSettings(steps=5, warmup_steps=0, learning_rate=0.01).planned(1)
    Trainer(lm, settings).step([Batch(inputs, labels, weights, (0, 1))])


def use_within(lm: CausalLM) -> None:
    with lm.adapters.using("b"):
        lm.backbone.compute_dtype  # noqa: B018


@dataclass(frozen=True)
class Call:
    """What is broken off. `states` are the models it may leave, beside the one before and the one
    after: as it stops between two steps."""

    change: Callable[[CausalLM], Any]
    make: Callable[[], CausalLM] = make_lm
    states: tuple[Callable[[CausalLM], Any], ...] = ()


def calls(folder: Path) -> dict[str, Call]:
    """Every call, by name. The folder is for files that they read."""
    lm = make_lm()
    lm.adapters.save(folder / "x.lora.h5")
    lm.adapters.save(folder / "x")
    other = without_adapters()
    other.set_weights([np.asarray(weight) * 0.5 for weight in other.weights])
    other.save_weights(folder / "other.weights.h5")
    other.backbone.save_to_preset(folder / "preset")
    halves = [np.asarray(weight) for weight in other.weights]

    def merged() -> CausalLM:
        lm = make_lm()
        lm.adapters.merge()
        return lm

    return {
        "quantize int8": Call(lambda lm: lm.quantize("int8")),
        "quantize int4": Call(lambda lm: lm.quantize("int4"), without_adapters),
        "adapters.add": Call(lambda lm: lm.adapters.add("c", rank=3, targets="all", seed=5)),
        "adapters.use": Call(lambda lm: lm.adapters.use("b")),
        "adapters.use(None)": Call(lambda lm: lm.adapters.use(None)),
        "adapters.using": Call(use_within),
        "adapters.load h5": Call(lambda lm: lm.adapters.load(folder / "x.lora.h5", "b")),
        "adapters.load PEFT": Call(lambda lm: lm.adapters.load(folder / "x", "c")),
        "adapters[...] =": Call(lambda lm: lm.adapters.__setitem__("a", lm.adapters["b"])),
        "adapters.remove": Call(lambda lm: lm.adapters.remove("a")),
        "adapters.merge": Call(lambda lm: lm.adapters.merge()),
        "adapters.unmerge": Call(lambda lm: lm.adapters.unmerge(), merged),
        "enable_lora": Call(lambda lm: lm.backbone.enable_lora(2), without_adapters),
        "load_weights": Call(
            lambda lm: lm.load_weights(folder / "other.weights.h5"), without_adapters
        ),
        "set_weights": Call(lambda lm: lm.set_weights(halves), without_adapters),
        "trainable =": Call(lambda lm: setattr(lm, "trainable", False), without_adapters),
        "dtype_policy =": Call(
            lambda lm: setattr(lm.backbone, "dtype_policy", "int8_from_float32"), without_adapters
        ),
        "compile": Call(lambda lm: lm.compile("sgd", sampler="greedy")),
        "fit": Call(fit, without_adapters, (lambda lm: fit(lm, 1), lambda lm: fit(lm, 2))),
        "fit an adapter": Call(fit, make_lm, (lambda lm: fit(lm, 1), lambda lm: fit(lm, 2))),
        "Trainer": Call(trainer_step),
        "generate": Call(lambda lm: text_of(CausalLM(lm.backbone, lm.preprocessor))),
        "trace": Call(lambda lm: CausalLM(lm.backbone, lm.preprocessor).trace("ab", "logits")),
        "from_preset": Call(lambda lm: wb.models.Backbone.from_preset(str(folder / "preset"))),
    }


# -- what a model is ----------------------------------------------------------------------


def text_of(lm: CausalLM) -> str:
    return lm.generate("Once", max_new_tokens=6, sampler="greedy", stop_token_ids=None)


def state_of(lm: CausalLM) -> str:
    """A digest of all that it is: numbers, flags, dtypes, adapters, how it is compiled."""
    layers = lm.backbone._flatten_layers()
    told = [(v.path, v.dtype, v.trainable) for v in lm.backbone.variables]
    told += [(np.asarray(v.value),) for v in lm.backbone.variables if v.name != "lora_a"]
    told += [(layer.trainable, layer.dtype_policy.name) for layer in layers]
    told += [(lm.adapters.active, lm.adapters.merged, *lm.adapters)]
    for adapter in lm.adapters.values():
        for path, update in adapter.updates.items():
            # An adapter that changes nothing yet begins with numbers that are drawn.
            told += [(adapter.config, path, update.b, update.scale)]
            told += [(update.a,)] if update.b.any() else []
    told += [(type(lm.optimizer).__name__, type(lm.sampler).__name__)]
    digest = hashlib.sha256()
    for each in (part for parts in told for part in parts):
        digest.update(each.tobytes() if isinstance(each, np.ndarray) else repr(each).encode())
    return digest.hexdigest()


def check_scopes() -> None:
    """Keras and JAX are in no scope, and a layer can be built."""
    state = vars(global_state.GLOBAL_STATE_TRACKER)
    assert not state.get("name_scope_stack") and not state.get("remat_scope_stack")
    assert not [name for name in SCOPES if state.get(name) is not None]
    layer = keras.layers.Dense(1, name="probe")
    layer.build((None, 1))
    assert layer.kernel.path == "probe/kernel"
    assert (np.asarray(jnp.ones(2) + layer.kernel.value[0]) != 0).all()


# -- breaking off ---------------------------------------------------------------------------


class Moments:
    """Counts the moments at which Python looks for interrupts, calls and returns from C, and
    does something at one of them."""

    def __init__(self, at: int | None, act: Callable[[], None], everywhere: bool = True) -> None:
        self.count, self._at, self._act, self._everywhere = 0, at, act, everywhere

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        wanted = event in ("call", "c_return") if self._everywhere else _is_own(frame, event)
        if wanted:
            self.count += 1
            if self.count - 1 == self._at:
                self._act()

    @contextmanager
    def watched(self) -> Iterator[None]:
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)


def _is_own(frame: Any, event: str) -> bool:
    file = frame.f_code.co_filename
    inside = any(part in file for part in OWN) and not file.endswith(NOT_INTERRUPTED)
    return inside and event == "call"


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def no_memory() -> None:
    raise MemoryError("no memory")


def broken_off(call: Callable[[], Any], moments: Moments) -> None:
    """Run it, broken off at its moment."""
    try:
        with moments.watched():
            call()
    except (KeyboardInterrupt, MemoryError, MemoryTooSmallError, RuntimeError):  # Keras's words
        pass


def broken_off_by_a_signal(call: Callable[[], Any], seconds: float) -> None:
    """Run it; a signal comes after that time, wherever it is then."""
    sent = threading.Thread(
        target=lambda: (time.sleep(seconds), os.kill(os.getpid(), signal.SIGINT))
    )
    try:
        sent.start()
        call()
        sent.join()
        time.sleep(0.01)  # a garbage collector's callback may have swallowed it
    except KeyboardInterrupt:
        sent.join()


class Trial:
    """A call to break off again and again, and what it may leave."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._make()
        self.old = state_of(self.lm)
        self._texts = {self.old: text_of(self.lm)}
        self._new = [self._after(change) for change in (call.change, *call.states)]

    def _after(self, change: Callable[[CausalLM], Any]) -> str:
        lm = self._call.make()
        change(lm)
        state = state_of(lm)
        self._texts[state] = text_of(lm)
        return state

    def moments(self, everywhere: bool = True) -> int:
        """How many there are in the call."""
        counted = Moments(None, interrupt, everywhere)
        with counted.watched():
            self._call.change(self.lm)
        self._renew()
        return counted.count

    def seconds(self) -> float:
        """How long the call takes, at its quickest of three."""
        took = []
        for _ in range(3):
            began = time.perf_counter()
            self._call.change(self.lm)
            took.append(time.perf_counter() - began)
            self._renew()
        return min(took)

    def start_again(self) -> None:
        """After a failure that has left more than the model broken."""
        vars(global_state.GLOBAL_STATE_TRACKER).clear()
        self._make()

    def run(self, break_off: Callable[[Callable[[], Any]], None], writes: bool = True) -> str:
        """Break it off: "old", "new" or "neither"."""
        break_off(lambda: self._call.change(self.lm))
        check_scopes()
        state = state_of(self.lm)
        if writes:
            assert text_of(self.lm) == self._texts.get(state, "the text of a model of the two")
        outcome = "old" if state == self.old else "new" if state in self._new else "neither"
        if outcome != "old":
            self._renew()
        return outcome

    def _renew(self) -> None:
        """The model before the call once more: put back, which is quick, or made anew where
        training has used up its arrays."""
        with suppress(RuntimeError):
            self._before.put_back()
            if state_of(self.lm) == self.old:
                return
        self._make()

    def _make(self) -> None:
        self.lm = self._call.make()
        self._before = _Before((self.lm, self.lm.adapters))
