"""Writes the trained network as a preset in bfloat16.

python -m workbench.recipes.words.publish WORK_FOLDER PRESET_FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.models import (
    PARSeqCausalLM,
    PARSeqCausalLMPreprocessor,
    PARSeqImageConverter,
    PARSeqTokenizer,
)
from workbench.recipes.describing import describe
from workbench.recipes.words.train import Training, build_backbone
from workbench.toy_data.words.drawing import HEIGHT, WIDTH
from workbench.toy_data.words.texts import CHARACTERS, LONGEST

DESCRIPTION = (
    "A small PARSeq that reads a word of letters and digits in a picture of it, trained by this "
    "project on words it drew itself."
)


def publish(work: Path, preset: Path) -> None:
    """Save the checkpoint in `work` as a preset folder; its model card, if any, stays."""
    trained = Training(work).variables
    backbone = build_backbone("bfloat16")
    # The last variable is the matrix that only training uses.
    for variable, value in zip(backbone.variables, trained[:-1], strict=True):
        variable.assign(value)
    converter = PARSeqImageConverter(
        (HEIGHT, WIDTH),
        scale=1 / 127.5,
        offset=-1.0,
        crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=True,
        interpolation="bicubic",
        antialias=True,
    )
    tokenizer = PARSeqTokenizer(CHARACTERS, max_label_length=LONGEST)
    preprocessor = PARSeqCausalLMPreprocessor(converter, tokenizer, sequence_length=LONGEST + 1)
    PARSeqCausalLM(backbone, preprocessor).save_to_preset(str(preset), max_shard_size=None)
    describe(preset, description=DESCRIPTION, modality="image")


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("preset", type=Path)
    arguments = parser.parse_args()
    publish(arguments.work, arguments.preset)


if __name__ == "__main__":
    main()
