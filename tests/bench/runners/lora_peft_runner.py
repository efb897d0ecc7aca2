"""PEFT's figures, on PyTorch."""

from __future__ import annotations

import sys

import torch
from lora_figures import RANK, RATE, TARGETS, measure, tokens
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

folder = sys.argv[1]
ids = torch.from_numpy(tokens()).long()
base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS, task_type="CAUSAL_LM")
model = get_peft_model(base, config).train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)


def step() -> float:
    # The labels are those of all 128 places, as the others have them.
    logits = model(input_ids=ids[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    return loss.item()


measure(folder, step)
