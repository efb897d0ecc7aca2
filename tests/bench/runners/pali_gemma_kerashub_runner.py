"""KerasHub's figures of PaliGemma, on JAX."""

from __future__ import annotations

import sys

import jax
import keras_hub
import numpy as np
from pali_gemma_figures import PROMPT, picture, report

folder, image = sys.argv[1], picture()
backbone = keras_hub.models.Backbone.from_preset(folder)
lm = keras_hub.models.PaliGemmaCausalLM(preprocessor=None, backbone=backbone)
lm.compile(sampler="greedy")
encoder = backbone.vit_encoder


@jax.jit
def encode(weights, images):
    return encoder.stateless_call(weights, [], images)[0]


def answer(count):
    width = len(PROMPT) + count
    ids = np.zeros((1, width), "int32")
    ids[0, : len(PROMPT)] = PROMPT
    mask = np.arange(width)[None] < len(PROMPT)
    inputs = {"images": image, "token_ids": ids, "padding_mask": mask}
    return lm.generate(inputs, stop_token_ids=None)


weights = [variable.value for variable in encoder.trainable_variables]
report(folder, lambda: encode(weights, image).block_until_ready(), answer)
