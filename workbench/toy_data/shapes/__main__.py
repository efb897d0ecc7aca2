"""Draws a few scenes and prints what is said of them.

python -m workbench.toy_data.shapes FOLDER --pictures 12
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from random import Random

from workbench.toy_data.shapes.drawing import draw
from workbench.toy_data.shapes.language import turns
from workbench.toy_data.shapes.scene import scenes


def main() -> None:
    """Write pictures as PNG files into a folder and print turns about each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rng = Random(arguments.seed)
    for number, scene in enumerate(islice(scenes(arguments.seed), arguments.pictures)):
        draw(scene).save(arguments.folder / f"{number:03d}.png")
        for turn in islice(turns(scene, rng), 5):
            print(f"{number:03d} {turn.prompt.rstrip()} -> {turn.response}")


if __name__ == "__main__":
    main()
