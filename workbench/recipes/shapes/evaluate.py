"""Measures the preset on held-out pictures, and writes the figures of its card.

    python -m workbench.recipes.shapes.evaluate

It uses the same calls as a user: pictures of 224 x 224 pixels, and `generate`.
The figures go to `figures.json` beside this file and from there into the card.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from workbench.models import CausalLM
from workbench.presets.handles import EMBEDDED
from workbench.recipes.shapes import card
from workbench.recipes.shapes.train import HELD_OUT_SEED
from workbench.toy_data.shapes import language
from workbench.toy_data.shapes.drawing import draw
from workbench.toy_data.shapes.language import CODES, QUESTIONS, Turn
from workbench.toy_data.shapes.scene import Scene, scenes

PRESET = "shapes_tiny"
FIGURES = Path(__file__).with_name("figures.json")
HELD_OUT, PER_KIND, ROWS = 400, 100, 25
MAX_LENGTH = 160  # the picture's 64 places included
_BOX = re.compile(r"((?:<loc\d{4}>){4}) ([^;<]+)")
ROUGH_SIDE = 150
Pictures = Sequence[Image.Image]
Figures = dict[str, float]
Box = tuple[float, float, float, float]


def held_out(count: int = HELD_OUT) -> list[Scene]:
    """Return scenes of a held-out seed."""
    return list(islice(scenes(HELD_OUT_SEED), count))


def answers(lm: CausalLM, pictures: Pictures, turns: Sequence[Turn]) -> list[str]:
    """Return the model's greedy answer for each picture and prompt."""
    texts: list[str] = []
    for start in range(0, len(turns), ROWS):
        rows = slice(start, start + ROWS)
        inputs = {
            "images": list(pictures[rows]),
            "prompts": [turn.prompt for turn in turns[rows]],
        }
        texts += lm.generate(inputs, max_length=MAX_LENGTH, sampler="greedy", strip_prompt=True)
    return texts


def exact(texts: Sequence[str], turns: Sequence[Turn]) -> list[bool]:
    """Return whether each text is right, letter for letter."""
    return [text == turn.response for text, turn in zip(texts, turns, strict=True)]


def boxes(text: str) -> list[tuple[Box, str]]:
    """Return a detection's boxes (y0, x0, y1, x1 as shares of the sides) and labels."""
    return [(_box(codes), label.strip()) for codes, label in _BOX.findall(text)]


def _box(codes: str) -> Box:
    top, left, bottom, right = (int(code) / CODES for code in re.findall(r"\d{4}", codes))
    return top, left, bottom, right


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes."""
    high = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    wide = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    union = areas - high * wide
    return high * wide / union if union > 0 else 0.0


def matched(text: str, response: str) -> list[float]:
    """Return for each box of the response its overlap with the best unmatched box of the text with
    the same label, or 0."""
    left, found = boxes(text), []
    for box, label in boxes(response):
        same = [(overlap(box, other), other) for other, name in left if name == label]
        best = max(same, default=(0.0, None))
        if best[1] is not None:
            left.remove((best[1], label))
        found.append(best[0])
    return found


def caption_figures(lm: CausalLM, shown: Sequence[Scene], pictures: Pictures) -> Figures:
    """Return the share of exact captions, in all and by the number of things."""
    turns = [language.caption_turn(scene) for scene in shown]
    right = np.array(exact(answers(lm, pictures, turns), turns))
    counts = np.array([len(scene.things) for scene in shown])
    by_count = {f"of_{n}": float(right[counts == n].mean()) for n in range(1, counts.max() + 1)}
    return {"exact": float(right.mean()), **by_count}


def question_figures(lm: CausalLM, shown: Sequence[Scene], pictures: Pictures) -> Figures:
    """Return the share of right answers, in the training's mixture of questions and by kind."""
    rng = Random(HELD_OUT_SEED)
    turns = [language.question_turn(scene, rng) for scene in shown]
    mixture = float(np.mean(exact(answers(lm, pictures, turns), turns)))
    kinds = {kind: _kind_figure(lm, shown, pictures, kind) for kind in QUESTIONS}
    return {"right": mixture, **kinds}


def _kind_figure(lm: CausalLM, shown: Sequence[Scene], pictures: Pictures, kind: str) -> float:
    rng = Random(HELD_OUT_SEED)
    pairs = ((language.ask(kind, s, rng), p) for s, p in zip(shown, pictures, strict=True))
    able = [(turn, picture) for turn, picture in pairs if turn is not None][:PER_KIND]
    turns, about = zip(*able, strict=True)
    return float(np.mean(exact(answers(lm, about, turns), turns)))


def detection_figures(lm: CausalLM, shown: Sequence[Scene], pictures: Pictures) -> Figures:
    """Return the share of requested boxes found, their mean overlap, and how many are made up."""
    rng = Random(HELD_OUT_SEED)
    turns = [language.detect_turn(scene, rng) for scene in shown]
    texts = answers(lm, pictures, turns)
    pairs = list(zip(texts, turns, strict=True))
    found = np.array([iou for text, turn in pairs for iou in matched(text, turn.response)])
    given = sum(len(boxes(text)) for text in texts)
    absent = [text == "none" for text, turn in pairs if turn.response == "none"]
    return {
        "found_at_half": float((found >= 0.5).mean()),
        "found_at_three_quarters": float((found >= 0.75).mean()),
        "mean_overlap": float(found.mean()),
        "given_that_are_right": float((found >= 0.5).sum() / given),
        "none_where_there_is_none": float(np.mean(absent)),
    }


def all_figures(lm: CausalLM, shown: Sequence[Scene]) -> dict[str, Figures | float]:
    """Return all figures of the card."""
    pictures = [draw(scene) for scene in shown]
    rough = [draw(scene, ROUGH_SIDE, Image.Resampling.NEAREST) for scene in shown]
    return {
        "pictures": len(shown),
        "parameters": lm.backbone.count_params(),
        "captions": caption_figures(lm, shown, pictures),
        "questions": question_figures(lm, shown, pictures),
        "detections": detection_figures(lm, shown, pictures),
        "captions_of_jagged_pictures": caption_figures(lm, shown, rough),
    }


def _rounded(figures: Any) -> Any:
    if isinstance(figures, dict):
        return {name: _rounded(figure) for name, figure in figures.items()}
    return figures if isinstance(figures, int) else round(float(figures), 4)


def main() -> None:
    """Measure, print the figures as JSON, and write them to `figures.json` and the card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=HELD_OUT)
    arguments = parser.parse_args()
    lm = CausalLM.from_preset(PRESET)
    figures = _rounded(all_figures(lm, held_out(arguments.pictures)))
    print(json.dumps(figures, indent=2))
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    card.renew(EMBEDDED / PRESET / "README.md", figures)


if __name__ == "__main__":
    main()
