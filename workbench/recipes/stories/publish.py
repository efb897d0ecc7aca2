"""Writes the trained network as a preset in bfloat16.

python -m workbench.recipes.stories.publish WORK_FOLDER PRESET_FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.models import (
    LlamaBackbone,
    LlamaCausalLM,
    LlamaCausalLMPreprocessor,
    LlamaTokenizer,
)
from workbench.recipes.describing import describe
from workbench.recipes.stories.train import SHAPE, Training
from workbench.recipes.training import TOKENIZER_FILE

CONTEXT = 512
DESCRIPTION = (
    "A small Llama that writes short children's stories in plain English, trained by this project "
    "on stories from its own grammar."
)


def publish(work: Path, preset: Path) -> None:
    """Save the checkpoint in `work` as a preset folder; its model card, if any, stays."""
    trained = Training(work).variables
    backbone = LlamaBackbone(**SHAPE, dtype="bfloat16")
    for variable, value in zip(backbone.trainable_variables, trained, strict=True):
        variable.assign(value)
    tokenizer = LlamaTokenizer(work / TOKENIZER_FILE)
    preprocessor = LlamaCausalLMPreprocessor(tokenizer, sequence_length=CONTEXT)
    LlamaCausalLM(backbone, preprocessor).save_to_preset(str(preset), max_shard_size=None)
    describe(preset, description=DESCRIPTION)


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("preset", type=Path)
    arguments = parser.parse_args()
    publish(arguments.work, arguments.preset)


if __name__ == "__main__":
    main()
