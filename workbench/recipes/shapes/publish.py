"""Writes the trained network as a preset in bfloat16.

python -m workbench.recipes.shapes.publish WORK_FOLDER PRESET_FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.models import (
    PaliGemmaBackbone,
    PaliGemmaCausalLM,
    PaliGemmaCausalLMPreprocessor,
    PaliGemmaImageConverter,
    PaliGemmaTokenizer,
)
from workbench.recipes.describing import describe
from workbench.recipes.shapes.batches import IMAGE_SIDE
from workbench.recipes.shapes.train import SHAPE, Training
from workbench.recipes.training import TOKENIZER_FILE

TEXT_LENGTH = 64
DESCRIPTION = (
    "A small PaliGemma that describes pictures of coloured shapes, answers questions about them "
    "and finds things in them, trained by this project on pictures it draws itself."
)


def publish(work: Path, preset: Path) -> None:
    """Save the checkpoint in `work` as a preset folder; its model card, if any, stays."""
    trained = Training(work).variables[:-1]  # the last is the head that only training needs
    backbone = PaliGemmaBackbone(**SHAPE, dtype="bfloat16")
    for variable, value in zip(backbone.trainable_variables, trained, strict=True):
        variable.assign(value)
    preprocessor = PaliGemmaCausalLMPreprocessor(
        PaliGemmaTokenizer(work / TOKENIZER_FILE), converter(), sequence_length=TEXT_LENGTH
    )
    PaliGemmaCausalLM(backbone, preprocessor).save_to_preset(str(preset), max_shard_size=None)
    describe(preset, description=DESCRIPTION, modality="image+text")


def converter() -> PaliGemmaImageConverter:
    """Return the image converter: it stretches a picture to a square and shrinks it smoothly."""
    return PaliGemmaImageConverter(
        image_size=(IMAGE_SIDE, IMAGE_SIDE),
        scale=1 / 127.5,
        offset=-1.0,
        crop_to_aspect_ratio=False,
        antialias=True,
    )


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("preset", type=Path)
    arguments = parser.parse_args()
    publish(arguments.work, arguments.preset)


if __name__ == "__main__":
    main()
