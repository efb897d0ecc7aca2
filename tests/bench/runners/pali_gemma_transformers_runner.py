"""Transformers' figures of PaliGemma, PyTorch on the CPU."""

from __future__ import annotations

import sys

import torch
from pali_gemma_figures import PATCHES, PROMPT, picture, report
from transformers import AutoModelForImageTextToText

folder = sys.argv[1]
model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
pixels = torch.tensor(picture()).permute(0, 3, 1, 2).contiguous()
ids = torch.tensor([[model.config.image_token_index] * PATCHES + PROMPT])
inputs = {
    "input_ids": ids,
    "pixel_values": pixels,
    "attention_mask": torch.ones_like(ids),
    "token_type_ids": torch.zeros_like(ids),
}
settings = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}


@torch.no_grad()
def encode():
    return model.get_image_features(pixels)


@torch.no_grad()
def answer(count):
    return model.generate(**inputs, max_new_tokens=count, **settings)


report(folder, encode, answer)
