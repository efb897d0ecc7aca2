"""Makes `peft_training/`: 20 steps of PEFT on the golden Llama; needs torch, transformers, peft.

    python tests/data/lora/make_peft_training.py

`adapter_model.safetensors` is where the adapter begins; `losses.npz` holds the batches, the loss
before each step and, in `rate`, the learning rate. The optimizer is torch's AdamW without decay.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

HERE = Path(__file__).parent / "peft_training"
BASE = Path(__file__).parents[1] / "goldens" / "hf" / "llama"
STEPS, BATCH, LENGTH, RATE = 20, 4, 16, 0.02

torch.manual_seed(0)
base = LlamaForCausalLM.from_pretrained(BASE, dtype=torch.float32)
targets = ["q_proj", "v_proj", "o_proj", "up_proj"]
config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")
base.name_or_path = BASE.name
model = get_peft_model(base, config).train()
model.save_pretrained(HERE)
(HERE / "README.md").unlink(missing_ok=True)
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
random = np.random.default_rng(0)
# Rows that count up from one of four starts: something that can be learnt.
starts = random.integers(0, 4, (STEPS, BATCH, 1)) * 16
rows = (starts + np.arange(LENGTH)) % base.config.vocab_size
losses = []
for step in range(STEPS):
    ids = torch.from_numpy(rows[step])
    loss = model(input_ids=ids, labels=ids).loss
    losses.append(loss.item())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
np.savez(HERE / "losses.npz", rows=rows.astype(np.int32), losses=np.array(losses), rate=RATE)
print(losses)
