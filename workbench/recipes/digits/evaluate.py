"""Measures the preset: the share of held-out recordings it transcribes without a mistake.

python -m workbench.recipes.digits.evaluate

The voices are numbered from `HELD_OUT` on, which training never uses, and so are the seeds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from workbench.models import AudioToText
from workbench.presets.handles import EMBEDDED
from workbench.toy_data.digits.generator import Recording, random_recording
from workbench.toy_data.digits.voices import HELD_OUT, Voice, voice

PRESET = EMBEDDED / "digits_tiny"
COUNT, BATCH = 200, 20
CONDITIONS = {"quiet": 0.0, "usual": 0.5, "all noise of training": 1.0}


def recordings(strength: float, seed: int, count: int = COUNT) -> list[Recording]:
    """Return held-out recordings of one to five digits, each by a different voice."""
    return [
        random_recording(
            np.random.default_rng([HELD_OUT + seed, i]), voice(HELD_OUT + i), strength=strength
        )
        for i in range(count)
    ]


def strange(number: int) -> Voice:
    """Return a voice that is higher and smaller than all training voices."""
    given = voice(number)
    return replace(given, pitch=300.0, tract=1.36)


def exact(lm: AudioToText, spoken: list[Recording]) -> dict[str, float]:
    """Return the shares of exactly transcribed recordings, in all and by their number of digits,
    and of digits in their places."""
    texts: list[str] = []
    for start in range(0, len(spoken), BATCH):
        texts += lm.generate([r.samples for r in spoken[start : start + BATCH]])
    pairs = [(r.text.split(), text.split()) for r, text in zip(spoken, texts, strict=True)]
    right = np.array([said == heard for said, heard in pairs])
    lengths = np.array([len(said) for said, _ in pairs])
    places = [
        said[i : i + 1] == heard[i : i + 1] for said, heard in pairs for i in range(len(said))
    ]
    by_length = {f"exact_of_{n}": float(right[lengths == n].mean()) for n in np.unique(lengths)}
    return {"exact": float(right.mean()), "digits_right": float(np.mean(places)), **by_length}


def main() -> None:
    """Print all figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("preset", nargs="?", type=Path, default=PRESET)
    parser.add_argument("--count", type=int, default=COUNT, help="recordings of each condition")
    arguments = parser.parse_args()
    lm = AudioToText.from_preset(str(arguments.preset))
    figures = {"parameters": lm.backbone.count_params()}
    for seed, (name, strength) in enumerate(CONDITIONS.items()):
        figures[name] = exact(lm, recordings(strength, seed, arguments.count))
    unheard = [
        random_recording(np.random.default_rng([HELD_OUT + 9, i]), strange(HELD_OUT + i), 5, 0.0)
        for i in range(arguments.count)
    ]
    figures["voices higher than any of training, quiet"] = exact(lm, unheard)
    rounded = json.loads(json.dumps(figures), parse_float=lambda text: round(float(text), 3))
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    main()
