"""A process that ends in the middle of three pieces of work.

Its arguments say of which kind, and how many seconds after they have begun.
"""

import sys
import time

import workbench as wb

TEXTS = ["once upon a time", "there was a fox"] * 20


def tiny_lms():
    from tiny import byte_tokenizer, tiny_backbone

    from workbench.preprocessing.preprocessor import CausalLMPreprocessor
    from workbench.tasks.causal_lm import CausalLM

    def make():
        return CausalLM(tiny_backbone("gpt2"), CausalLMPreprocessor(byte_tokenizer(), 64))

    return [make() for _ in range(3)]


def started(jobs):
    for job in jobs:
        job.start()
    return jobs


def loads():
    from workbench.jobs.loading import LoadJob

    return started([LoadJob("stories_tiny_en") for _ in range(3)])


def panels():
    """Each loads a model of its own, for it is to be trained."""
    return [wb.tune("stories_tiny_en", TEXTS) for _ in range(3)]


def downloads():
    """The hub never answers."""
    from workbench.presets import load
    from workbench.presets.hubs import transfer

    load.resolve = lambda handle, weights=True: transfer.run(lambda one: one.pause(600))
    return loads()


def hashing():
    """The checksums of a file without an end."""
    from workbench.presets.folders import manifest

    sha256 = manifest._sha256
    manifest._sha256 = lambda path, stop: sha256(type(path)("/dev/zero"), stop)
    return loads()


def generation():
    from workbench.jobs.generation import GenerationJob

    return started([GenerationJob(lm, "Once", max_new_tokens=60) for lm in tiny_lms()])


def comparison():
    from workbench.jobs.column import Column
    from workbench.jobs.comparison import ComparisonJob

    columns = [Column(lm, str(index)) for index, lm in enumerate(tiny_lms())]
    return started([ComparisonJob(columns, TEXTS, max_new_tokens=40)])


def training():
    from workbench.tuning.job import TrainingJob

    return started([TrainingJob(lm, TEXTS, steps=10_000) for lm in tiny_lms()])


if __name__ == "__main__":
    kind, seconds = sys.argv[1:]
    kept = globals()[kind]()
    time.sleep(float(seconds))
