"""The workbench's figures of PaliGemma."""

from __future__ import annotations

import sys

import jax
import numpy as np
from pali_gemma_figures import PROMPT, picture, report

import workbench as wb

folder, image = sys.argv[1], picture()
lm = wb.models.CausalLM.from_preset(folder, dtype="float32")
programs, backbone = lm.programs, lm.backbone


@jax.jit
def encode(parameters, images):
    with programs.holding(parameters):
        return backbone.encode_images(images)


def answer(count):
    width = len(PROMPT) + count
    ids = np.zeros((1, width), "int32")
    ids[0, : len(PROMPT)] = PROMPT
    mask = np.arange(width)[None] < len(PROMPT)
    inputs = {"images": image, "token_ids": ids, "padding_mask": mask}
    return lm.generate(inputs, stop_token_ids=None, sampler="greedy")


report(folder, lambda: encode(programs.parameters(), image).block_until_ready(), answer)
