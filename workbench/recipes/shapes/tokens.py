"""The tokenizer of the shapes, laid out as PaliGemma's, and rows of ids to train on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from random import Random

import numpy as np
import sentencepiece

from workbench.toy_data.shapes import language
from workbench.toy_data.shapes.language import Turn
from workbench.toy_data.shapes.scene import scenes
from workbench.toy_data.stories.generator import stories

PIECES = 2048
PAD, END, START = 0, 1, 2
LOCATIONS = tuple(f"<loc{i:04d}>" for i in range(1024))
SEGMENTS = tuple(f"<seg{i:03d}>" for i in range(128))
_SCENES, _STORIES = 20_000, 4_000


def train_tokenizer(seed: int) -> bytes:
    """Return a serialized SentencePiece model with Gemma's specials and PaliGemma's locations.

    `<pad>` 0, `<eos>` 1, `<bos>` 2, `<unk>` 3, the line break, locations, segments, 256 bytes,
    then whole words learned from the turns about the scenes of `seed`. Stories fill the remaining
    pieces, so that other English is not spelled letter by letter.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_lines(seed),
        model_writer=model,
        model_type="bpe",
        vocab_size=PIECES,
        pad_id=PAD,
        eos_id=END,
        bos_id=START,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        user_defined_symbols=["\n", *LOCATIONS, *SEGMENTS],
        byte_fallback=True,
        add_dummy_prefix=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        character_coverage=0.99999,
        input_sentence_size=0,
        num_threads=2,
        minloglevel=2,
    )
    return model.getvalue()


def _lines(seed: int) -> Iterator[str]:
    rng = Random(seed)
    for scene in islice(scenes(seed), _SCENES):
        for turn in islice(language.turns(scene, rng), 4):
            yield turn.prompt.rstrip("\n")
            if "<loc" not in turn.response:
                yield turn.response
    for story in islice(stories(seed), _STORIES):
        yield from filter(None, story.split("\n"))


def row(
    model: sentencepiece.SentencePieceProcessor, turn: Turn, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a turn as inputs, targets and the mask of the response among the inputs.

    int32 (length,) each. Places without a target are -1. A turn that is too long is cut.
    """
    prompt = [START, *model.encode(turn.prompt)]
    response = [*model.encode(turn.response), END]
    response = response[: length + 1 - len(prompt)]
    ids = prompt + response
    inputs, targets, answer = (np.full(length, fill, np.int32) for fill in (PAD, -1, 0))
    stop, first = len(ids) - 1, len(prompt)
    inputs[:stop] = ids[:-1]
    targets[first - 1 : stop] = response
    answer[first:stop] = 1
    return inputs, targets, answer
