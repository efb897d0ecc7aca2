"""Settings and models that all tests share."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

import pytest

os.environ["KERAS_BACKEND"] = "jax"  # read once, when Keras is imported
# A cache of its own keeps the suite quick on the second run and the user's cache clean.
CACHE = Path(os.environ.setdefault("WORKBENCH_CACHE_DIR", str(Path(__file__).parent / ".cache")))
# Models of tests are so small that compiling is nearly all that they cost: compile quickly, and
# keep every program, for the other workers and the processes that tests start. With XLA_FLAGS
# given, programs are optimized as a user's are.
QUICKLY = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", QUICKLY)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

from tiny import FAMILIES, byte_tokenizer, tiny_backbone  # noqa: E402 - after the settings

# A process started in the background ignores interrupts, and tests send some to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    from workers import worker_count

    return worker_count()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from workers import ByFile

    return ByFile(config, log)


def pytest_collection_modifyitems(items):
    from workers import is_of_browser, turn_of

    for item in items:
        if is_of_browser(item.nodeid):
            item.add_marker("browser")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: turn_of(item.nodeid))


MAPPINGS = Path("/proc/self/maps")
MOST_MAPPINGS = 30_000  # of the 65,530 that Linux allows a process; a program takes about twelve


@pytest.fixture(scope="module", autouse=True)
def room_for_programs():
    """Drops compiled programs before the process runs out of memory mappings, where XLA aborts."""
    yield
    if MAPPINGS.exists() and MAPPINGS.read_bytes().count(b"\n") > MOST_MAPPINGS:
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def tiny_lms():
    """A causal language model of each family, by name."""
    from workbench.preprocessing.preprocessor import CausalLMPreprocessor
    from workbench.tasks.causal_lm import CausalLM

    def make(family):
        preprocessor = CausalLMPreprocessor(byte_tokenizer(), sequence_length=64)
        return CausalLM(tiny_backbone(family), preprocessor)

    return {family: make(family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def tiny_lm(request, tiny_lms):
    """Each family's model in turn. Tests leave it as they found it."""
    return tiny_lms[request.param]
