"""Settings and models that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["KERAS_BACKEND"] = "jax"  # read once, when Keras is imported
# A cache of its own keeps the suite quick on the second run and the user's cache clean.
os.environ.setdefault("WORKBENCH_CACHE_DIR", str(Path(__file__).parent / ".cache"))

from tiny import FAMILIES, byte_tokenizer, tiny_backbone


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    from workers import worker_count

    return worker_count()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from workers import ByFile

    return ByFile(config, log)


def pytest_collection_modifyitems(items):
    if "PYTEST_XDIST_WORKER" in os.environ:
        from workers import turn_of

        items.sort(key=lambda item: turn_of(item.nodeid))


@pytest.fixture(scope="session")
def tiny_lms():
    """A causal language model of each family, by name."""
    from workbench.tasks.causal_lm import CausalLM
    from workbench.tasks.preprocessor import CausalLMPreprocessor

    def make(family):
        preprocessor = CausalLMPreprocessor(byte_tokenizer(), sequence_length=64)
        return CausalLM(tiny_backbone(family), preprocessor)

    return {family: make(family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def tiny_lm(request, tiny_lms):
    """Each family's model in turn. Tests leave it as they found it."""
    return tiny_lms[request.param]
