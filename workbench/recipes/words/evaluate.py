"""Measures a preset on held-out texts and pictures.

    python -m workbench.recipes.words.evaluate [PRESET]

Prints, for each kind of text, the share of pictures that are read without a mistake. Texts are held
out by their letters (see `texts`), pictures by their seed; the last rows have fonts that training
never used.
"""

from __future__ import annotations

import argparse
import json
from random import Random

from PIL import Image

from workbench.models import CausalLM
from workbench.toy_data.words.drawing import FONTS, UNSEEN_FONTS, draw
from workbench.toy_data.words.texts import KINDS, text

PICTURES, ROWS = 400, 50
HELD_OUT_SEED = 7
CASES = {"lower case": str.lower, "capitalised": str.capitalize, "capitals": str.upper}


def samples(
    kind: str, case: str, fonts: tuple[str, ...] = FONTS, count: int = PICTURES
) -> list[tuple[Image.Image, str]]:
    """Return held-out pictures of a kind of text, each with its text."""
    rng = Random(f"{HELD_OUT_SEED} {kind} {case} {fonts}")
    texts = [text(rng, kind, held_out=True) for _ in range(count)]
    return [(draw(rng, CASES[case](made), fonts=fonts), made) for made in texts]


def read_right(lm: CausalLM, drawn: list[tuple[Image.Image, str]], refinements: int = 1) -> float:
    """Return the share of pictures whose text is read without a mistake."""
    right = 0
    for start in range(0, len(drawn), ROWS):
        rows = drawn[start : start + ROWS]
        made = lm.generate([picture for picture, _ in rows], refinements=refinements)
        right += sum(text == wanted for text, (_, wanted) in zip(made, rows, strict=True))
    return right / len(drawn)


def figures(lm: CausalLM, count: int = PICTURES) -> dict[str, float]:
    """Return all figures of the model card: shares from 0 to 1, and the number of parameters."""
    found: dict[str, float] = {"parameters": lm.backbone.count_params()}
    plain = samples("word", "lower case", count=count)
    found["word, lower case"] = read_right(lm, plain)
    found["word, lower case, not refined"] = read_right(lm, plain, refinements=0)
    for case in list(CASES)[1:]:
        found[f"word, {case}"] = read_right(lm, samples("word", case, count=count))
    for kind in list(KINDS)[1:]:
        found[f"{kind}, lower case"] = read_right(lm, samples(kind, "lower case", count=count))
    for name in UNSEEN_FONTS:
        unseen = samples("word", "lower case", (name,), count)
        found[f"word, lower case, in {name}"] = read_right(lm, unseen)
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Read the command line and print all figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("preset", nargs="?", default="words_tiny")
    arguments = parser.parse_args()
    print(json.dumps(figures(CausalLM.from_preset(arguments.preset)), indent=2))


if __name__ == "__main__":
    main()
