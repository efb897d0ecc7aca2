"""Writes the trained network as a preset in bfloat16.

python -m workbench.recipes.digits.publish WORK_FOLDER PRESET_FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.models import (
    MoonshineAudioConverter,
    MoonshineAudioToText,
    MoonshineAudioToTextPreprocessor,
    MoonshineTokenizer,
)
from workbench.recipes.describing import describe
from workbench.recipes.digits.train import Training, build_backbone
from workbench.recipes.training import TOKENIZER_FILE

LONGEST_TEXT = 64
DESCRIPTION = (
    "A small Moonshine that hears sequences of English digits, trained by this project on speech "
    "that its own formant synthesiser says."
)


def publish(work: Path, preset: Path) -> None:
    """Save the checkpoint in `work` as a preset folder; its model card, if any, stays."""
    build(work).save_to_preset(str(preset), max_shard_size=None)
    describe(preset, description=DESCRIPTION, modality="speech")


def build(work: Path) -> MoonshineAudioToText:
    """Return the model with the weights of the checkpoint in `work`, in bfloat16."""
    training = Training(work)
    trained = training.parts.network(training.variables)
    backbone = build_backbone("bfloat16")
    for variable, value in zip(backbone.trainable_variables, trained, strict=True):
        variable.assign(value)
    preprocessor = MoonshineAudioToTextPreprocessor(
        MoonshineAudioConverter(),
        MoonshineTokenizer(work / TOKENIZER_FILE),
        decoder_sequence_length=LONGEST_TEXT,
    )
    return MoonshineAudioToText(backbone, preprocessor)


def main() -> None:
    """Read the command line and publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("preset", type=Path)
    arguments = parser.parse_args()
    publish(arguments.work, arguments.preset)


if __name__ == "__main__":
    main()
