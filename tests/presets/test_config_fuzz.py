"""S6, S12: settings of every family and format with one value changed. Each is refused by name or
means a model that its numbers describe; a flag that is none is never taken for one.

By hand, 20,000 of them with their time and memory: `CONFIG_MUTANTS=20000 pytest -n 0 -s` this file.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
from config_mutants import gguf_bytes, listed, meaning, plain, stop_before_layers, value_mutants
from gguf_files import byte_tokenizer_metadata, write_golden
from patience import SLOW
from tiny import GOLDENS

from workbench.errors import MAX_MESSAGE, AdapterError, PresetError
from workbench.formats.gguf_file import read_header
from workbench.presets.adapters.peft_config import parse_config
from workbench.presets.load import load_task
from workbench.storage.json_files import read_json

MUTANTS = int(os.environ.get("CONFIG_MUTANTS", "500"))
SECONDS, KILOBYTES = 2.0, 200 * 1024

HUB = sorted(path.name for path in (GOLDENS / "keras_hub").iterdir() if path.is_dir())
HF = sorted(path.name for path in (GOLDENS / "hf").iterdir() if path.is_dir())
GGUF = ("bloom", "falcon_rope_mqa", "gemma", "gemma2", "gemma3_text", "gpt2", "llama", "phi3")
GGUF += ("llama3_rope", "mixtral", "phi3_longrope", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe")
GGUF += ("gpt_neox", "olmo2", "smollm3")
PEFT = GOLDENS.parent / "lora" / "peft"
TOKENIZERS = GOLDENS.parent / "tokenizers"

PLAIN = {
    "add_bos_token": True,
    "added_tokens_decoder": {"0": {"content": "<pad>", "special": True}},
    "bos_token": "<bos>",
    "chat_template": "{{ messages[0]['content'] }}",
    "eos_token": {"content": "<eos>"},
    "pad_token": "<pad>",
}
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", ",", ".")
SMALL_FILES = {
    "llama": {
        "tokenizer.json": TOKENIZERS / "plain.json",
        "tokenizer_config.json": PLAIN,
        "special_tokens_map.json": {"bos_token": {"content": "<bos>"}, "pad_token": "<pad>"},
        "added_tokens.json": {"<bos>": 2},
        "generation_config.json": {"eos_token_id": [1, 5], "do_sample": True, "top_p": 0.9},
    },
    "gemma3_vision": {
        "tokenizer.model": GOLDENS / "keras_hub/gemma3_vision/assets/tokenizer/vocabulary.spm",
        "tokenizer_config.json": {"add_bos_token": True, "bos_token": "<bos>"},
        "preprocessor_config.json": {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_pan_and_scan": False,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.4, 0.3],
            "image_processor_type": "Gemma3ImageProcessor",
            "image_seq_length": 4,
            "image_std": [0.5, 0.5, 0.5],
            "resample": 2,
            "rescale_factor": 0.00392,
            "size": {"height": 16, "width": 16},
        },
    },
    "moonshine": {
        "tokenizer.model": TOKENIZERS / "plain.spm",
        "preprocessor_config.json": {
            "do_normalize": False,
            "feature_size": 1,
            "padding_value": 0.0,
            "return_attention_mask": True,
            "sampling_rate": 16000,
        },
    },
    "bert_classifier": {
        "vocab.txt": "\n".join(WORDS),
        "tokenizer_config.json": {
            "cls_token": "[CLS]",
            "do_lower_case": True,
            "sep_token": "[SEP]",
            "strip_accents": None,
            "tokenize_chinese_chars": True,
            "unk_token": "[UNK]",
        },
    },
}
"""What the goldens of Transformers lack: files to copy, texts, or settings."""


def folder_of(place: Path, kind: str, name: str) -> Path:
    """A copy of a golden without its weights, the small files added."""
    leave = shutil.ignore_patterns("golden.*", "*.safetensors", "model*.h5")
    folder = shutil.copytree(GOLDENS / kind / name, place / kind / name, ignore=leave)
    for file, content in (SMALL_FILES if kind == "hf" else {}).get(name, {}).items():
        (folder / file).write_bytes(as_bytes(content))
    return folder


def as_bytes(content):
    if isinstance(content, Path):
        return content.read_bytes()
    return json_bytes(content) if isinstance(content, dict) else content.encode()


def of_folder(place, kind, name):
    """A folder's files of settings: where a mutant is written, what it is made of, the reader."""
    folder = folder_of(place, kind, name)
    for file in sorted(folder.glob("*.json")):
        if (kind, file.name) == ("hf", "tokenizer.json"):
            continue
        yield file, json.loads(file.read_bytes()), json_bytes, lambda: meaning(folder)


def json_bytes(value):
    return json.dumps(value).encode()


def of_gguf(place, name):
    golden = place / f"{name}.golden.gguf"
    header = read_header(write_golden(golden, GOLDENS / "hf" / name))
    rows = header.tensors["token_embd.weight"].shape[0]
    metadata = listed(header.metadata) | byte_tokenizer_metadata(rows)
    path = place / f"{name}.gguf"
    data = golden.read_bytes()
    written = lambda value: gguf_bytes(value, header.tensors, data)  # noqa: E731
    yield path, metadata, written, lambda: meaning(path)


def of_peft(place, name):
    path = place / name / "adapter_config.json"
    path.parent.mkdir(parents=True)
    given = json.loads((PEFT / name / "adapter_config.json").read_bytes())
    read = lambda: plain(vars(parse_config(read_json(path))))  # noqa: E731
    yield path, given, json_bytes, read


def sources(place, kind):
    """All files of a kind."""
    makers = {
        "transformers": [lambda n=n: of_folder(place, "hf", n) for n in HF],
        "keras_hub": [lambda n=n: of_folder(place, "keras_hub", n) for n in HUB],
        "gguf": [lambda n=n: of_gguf(place, n) for n in GGUF],
        "peft": [lambda n=n: of_peft(place, n.name) for n in sorted(PEFT.iterdir())],
    }
    for maker in makers[kind]:
        yield from maker()


SHARES = {"transformers": 0.4, "keras_hub": 0.35, "gguf": 0.2, "peft": 0.05}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SHARES)
def test_a_changed_value_is_refused_or_means_what_it_says(kind, tmp_path, monkeypatch):
    stop_before_layers(monkeypatch)
    files = list(sources(tmp_path, kind))
    each = -(-int(MUTANTS * SHARES[kind]) // len(files))
    counts, faults = Counter(), []
    for number, (path, value, written, read) in enumerate(files):
        path.write_bytes(written(value))
        original = read()
        for mutant, data in islice(writable(value, written, number), each):
            path.write_bytes(data)
            outcome, fault = judged(read, mutant, original)
            counts[outcome] += 1
            if fault:
                faults.append(f"{path.parent.name}/{path.name} {mutant.path}: {fault}")
        path.write_bytes(written(value))
    print(f"\n{kind}: {dict(counts)}, {len(faults)} faults", *faults, sep="\n")
    assert not faults


def writable(value, written, seed):
    """The mutants that the format has a place for, and their files."""
    for mutant in value_mutants(value, seed):
        data = written(mutant.value)
        if data is not None:
            yield mutant, data


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "qwen2_moe"])
def test_a_changed_value_meets_the_weights(name, tmp_path):
    """A share of the mutants with their weights: loaded, or refused by name."""
    folder = shutil.copytree(GOLDENS / "hf" / name, tmp_path / name)
    value = json.loads((folder / "config.json").read_bytes())
    for mutant in islice(value_mutants(value, seed=1), max(6, MUTANTS // 300)):
        (folder / "config.json").write_bytes(json_bytes(mutant.value))
        with suppress(PresetError):
            load_task(folder, object)


def judged(read, mutant, original):
    """The outcome of a mutant, and what is wrong with it."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    change = f"{ascii(mutant.before)[:60]} -> {ascii(mutant.after)[:60]}"
    try:
        found = read()
    except (PresetError, AdapterError) as error:
        outcome, fault = "refused", said_badly(str(error), mutant)
    except Exception as error:
        return "unnamed", f"{change}: {type(error).__name__}: {str(error)[:150]}"
    else:
        outcome = "equal" if found == original else "changed"
        fault = "a flag is misread" if outcome == "changed" and mutant.changes_a_flag else None
    if time.perf_counter() - start > SECONDS * SLOW:
        fault = f"{time.perf_counter() - start:.1f} s"
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > KILOBYTES:
        fault = "more than 200 MB"
    return outcome, fault and f"{change}: {fault}"


def said_badly(message, mutant):
    """What is wrong with a refusal: it must be short, and say where."""
    if len(message) > MAX_MESSAGE or "x" * 300 in message:
        return f"long: {message[:200]}"
    try:
        message.encode()
    except UnicodeEncodeError:
        return "no text"
    if mutant.fits:
        return None
    keys = [key for key in mutant.path if isinstance(key, str)]
    if not any(key in message or ascii(key)[1:-1] in message for key in keys):
        return f"no key: {message[:300]}"
    return None
