"""Measures a preset: held-out loss, overlap with the training text, mechanical grammar.

python -m workbench.recipes.stories.evaluate PRESET_FOLDER --steps 2000
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterable
from itertools import islice

import numpy as np

from workbench.models import CausalLM
from workbench.recipes.stories.prompts import UNSEEN
from workbench.recipes.stories.train import HELD_OUT_SEED, ROWS, TRAINING_SEED
from workbench.samplers import RandomSampler
from workbench.toy_data.stories.generator import stories

HELD_OUT, SAMPLES, GRAM = 400, 200, 8
STORIES_A_ROW = 2
SLIPS = re.compile(
    r"  | [,.!?]|\b(\w+) \1\b|\b[Aa] (?!un?i|use|one)[aeiou]|\b[Aa]n [^aeiouh]|[a-z]\. [a-z]"
    r"|[,.!?]{2,}|\b(?:the|a|an) (?:the|a|an|my|his|her|its)\b",
)


def held_out_loss(lm: CausalLM) -> dict[str, float]:
    """Return the loss on stories of a held-out seed, each read from its start."""
    texts = list(islice(stories(HELD_OUT_SEED), HELD_OUT))
    nats = tokens = 0.0
    for start in range(0, len(texts), 8):
        inputs, labels, weights = lm.preprocessor(texts[start : start + 8], sequence_length=320)
        logits = np.asarray(lm(inputs), np.float32)
        top = logits.max(-1)
        total = top + np.log(np.exp(logits - top[..., None]).sum(-1))
        chosen = np.take_along_axis(logits, labels[..., None], -1)[..., 0]
        nats += float(((total - chosen) * weights).sum())
        tokens += float(np.sum(weights))
    size = sum(len(text.encode()) for text in texts)
    return {
        "nats_a_token": nats / tokens,
        "perplexity": math.exp(nats / tokens),
        "bits_a_byte": nats / size / math.log(2),
    }


def written(lm: CausalLM, seed: int = 1) -> list[tuple[str, str]]:
    """Return pairs (word that has to come back, story) from prompts the grammar cannot write."""
    wanted = list(islice((p for _ in range(SAMPLES) for p in UNSEEN), SAMPLES))
    sampler = RandomSampler(temperature=0.7, min_p=0.05)
    texts: list[str] = []
    for start in range(0, SAMPLES, 20):
        batch = [prompt for _, prompt in wanted[start : start + 20]]
        texts += lm.generate(batch, max_length=320, sampler=sampler, seed=seed + start)
    return [(word, text) for (word, _), text in zip(wanted, texts, strict=True)]


def grams(texts: Iterable[str]) -> set[int]:
    """Return the hashes of all runs of `GRAM` words."""
    found = set()
    for text in texts:
        words = text.split()
        found |= {hash(tuple(words[i : i + GRAM])) for i in range(len(words) - GRAM + 1)}
    return found


def training_text(steps: int) -> Iterable[str]:
    """Return the stories of the training, and a few that no longer fitted into the last rows."""
    for step in range(steps):
        yield from islice(stories(TRAINING_SEED + step), ROWS * STORIES_A_ROW)


def overlap(lm_texts: list[str], steps: int) -> dict[str, float]:
    """Return the share of 8-word runs that are in the training text: of the model's stories, and of
    unseen stories."""
    seen = grams(training_text(steps))
    fresh = islice(stories(HELD_OUT_SEED), SAMPLES)
    model, grammar = grams(lm_texts), grams(fresh)
    return {
        "overlap_of_model": len(model & seen) / len(model),
        "overlap_of_fresh_stories": len(grammar & seen) / len(grammar),
    }


def mechanics(samples: list[tuple[str, str]]) -> dict[str, float]:
    """Return the shares of stories without a mistake, with balanced quotes, with an end, and that
    keep their hero."""
    count = len(samples)
    return {
        "clean": sum(not SLIPS.search(text) for _, text in samples) / count,
        "quotes_balanced": sum(text.count('"') % 2 == 0 for _, text in samples) / count,
        "ended": sum(text.rstrip()[-1] in '.!?"' for _, text in samples) / count,
        "hero_comes_back": sum(text.count(word) > 1 for word, text in samples) / count,
        "no_loop": sum(not re.search(r"(.{25,})\1", text) for _, text in samples) / count,
        "words": sum(len(text.split()) for _, text in samples) / count,
    }


def main() -> None:
    """Print all figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("preset")
    parser.add_argument("--steps", type=int, default=2000, help="steps it was trained for")
    arguments = parser.parse_args()
    lm = CausalLM.from_preset(arguments.preset)
    samples = written(lm)
    figures = {
        "parameters": lm.backbone.count_params(),
        **held_out_loss(lm),
        **mechanics(samples),
        **overlap([text for _, text in samples], arguments.steps),
    }
    print(json.dumps({k: round(v, 4) for k, v in figures.items()}, indent=2))


if __name__ == "__main__":
    main()
