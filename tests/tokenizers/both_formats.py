"""Small tokenizers, each as the `tokenizer.json` of a folder and as the metadata of a GGUF file.

The settings are those of the models they are named after: what takes the white space around it,
which marks are `special`, what is ASCII. The GGUF side is what llama.cpp's converter writes of such
a folder: marks that look special are control tokens whatever the folder says, runs of spaces are
written as such, and what takes white space is not written at all.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "data" / "tokenizers"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

PHI3 = ("<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>")
CHATML = ("<|im_start|>", "<|im_end|>", "<|im_sep|>")
NOT_SPECIAL = (
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
    *("<｜User｜>", "<｜tool▁calls▁begin｜>", "  ", "    ", "naïveté"),
)

LLAMA2_TEMPLATE = """\
{% for message in messages %}{% if message.role == 'user' %}\
{{ bos_token + '[INST] ' + message.content | trim + ' [/INST]' }}{% else %}\
{{ ' ' + message.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"""
PHI3_TEMPLATE = """\
{% for message in messages %}{{ '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}\
{% endfor %}{{ '<|assistant|>\\n' if add_generation_prompt }}"""
GEMMA_TEMPLATE = """\
{{ bos_token }}{% for message in messages %}\
{{ '<start_of_turn>' + message.role + '\\n' + message.content | trim + '<end_of_turn>\\n' }}\
{% endfor %}{{ '<start_of_turn>model\\n' if add_generation_prompt }}"""
CHATML_TEMPLATE = """\
{% for message in messages %}\
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\
{% endfor %}{{ '<|im_start|>assistant\\n' if add_generation_prompt }}"""
PHI4_TEMPLATE = """\
{% for message in messages %}\
{{ '<|im_start|>' + message.role + '<|im_sep|>' + message.content + '<|im_end|>' }}\
{% endfor %}{{ '<|im_start|>assistant<|im_sep|>' if add_generation_prompt }}"""


@dataclass(frozen=True)
class Both:
    """One tokenizer in both formats.

    Attributes:
        content: of `tokenizer.json`.
        config: of `tokenizer_config.json`.
        metadata: of the GGUF file.
    """

    content: dict
    config: dict
    metadata: dict

    @property
    def marks(self) -> list[str]:
        return [token["content"] for token in self.content["added_tokens"]]

    def write_folder(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        for name, value in (("tokenizer", self.content), ("tokenizer_config", self.config)):
            (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
        return folder


def llama2() -> Both:
    """Control tokens alone, and a space before every text."""
    named = {"bos_token": "<s>", "eos_token": "</s>"}
    metadata = sentence_piece_metadata(DATA / "spaced.spm")
    return _both(_folder_file("spaced"), named, LLAMA2_TEMPLATE, "llama", metadata)


def phi3() -> Both:
    """Llama 2's with marks added that take the white space after them, and rows without tokens."""
    content, metadata = _folder_file("spaced"), sentence_piece_metadata(DATA / "spaced.spm")
    size = len(content["model"]["vocab"])
    for index, mark in enumerate(PHI3, start=size):
        content["added_tokens"].append(_entry(index, mark, rstrip=mark != "<|endoftext|>"))
    content["added_tokens"][2] |= {"rstrip": True, "special": False}
    assert content["added_tokens"][2]["content"] == "</s>"
    padding = ["[PAD1]", "[PAD2]"]
    metadata["tokenizer.ggml.tokens"] += [*PHI3, *padding]
    types = [CONTROL] * len(PHI3) + [UNKNOWN] * len(padding)
    _append(metadata, "token_type", types)
    _append(metadata, "scores", [-1000.0] * len(types))
    metadata["tokenizer.ggml.token_type"][content["added_tokens"][2]["id"]] = USER_DEFINED
    named = {"bos_token": "<s>", "eos_token": "<|endoftext|>"}
    return _both(content, named, PHI3_TEMPLATE, "phi3", metadata)


def gemma() -> Both:
    """No space before a text; runs of spaces are symbols, which the GGUF file writes as spaces."""
    content, metadata = _folder_file("plain"), sentence_piece_metadata(DATA / "plain.spm")
    tokens, types = (metadata[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type"))
    for run in (SPACE * 2, SPACE * 4):
        index = content["model"]["vocab"][run]
        content["added_tokens"].append(_entry(index, run, special=False))
        tokens[index], types[index] = " " * len(run), USER_DEFINED
        metadata["tokenizer.ggml.scores"][index] = -1000
    named = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    return _both(content, named, GEMMA_TEMPLATE, "gemma", metadata)


def qwen() -> Both:
    """Byte level with marks of every kind: special or not, ASCII or not, and ordinary text."""
    special = ["<|endoftext|>", *CHATML]
    named = {"bos_token": None, "eos_token": "<|im_end|>"}
    return _byte_level("qwen2", "qwen2", special, {}, named, CHATML_TEMPLATE)


def phi4() -> Both:
    """Byte level with marks that take the white space on both sides."""
    taken = {"lstrip": True, "rstrip": True}
    named = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    special = ["<|endoftext|>", *CHATML]
    return _byte_level("phi3", "dbrx", special, taken, named, PHI4_TEMPLATE)


EVERY = {"llama2": llama2, "phi3": phi3, "gemma": gemma, "qwen": qwen, "phi4": phi4}


def conversations(texts: list[str]) -> list[list[dict]]:
    """Chats of one, three and five turns."""
    found, rest = [], iter(texts)
    for said in zip(rest, rest, rest, rest, rest, strict=False):
        length = 1 + 2 * (len(found) % 3)
        roles = ("user", "assistant") * 3
        turns = zip(roles[:length], said, strict=False)
        found.append([{"role": role, "content": text} for role, text in turns])
    return found


def _byte_level(
    architecture: str, pre: str, special: list[str], taken: dict, named: dict, template: str
) -> Both:
    folder = DATA / "keras_hub_gpt2"
    vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    merges = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [merge for merge in merges if merge and not merge.startswith("#version")]
    marks = [*special, *(NOT_SPECIAL if architecture == "qwen2" else ())]
    ids = vocabulary | {
        mark: index
        for index, mark in enumerate((m for m in marks if m not in vocabulary), len(vocabulary))
    }
    content = {
        "version": "1.0",
        "added_tokens": [_entry(ids[m], m, special=m in special, **taken) for m in marks],
        "normalizer": {"type": "NFC"} if pre == "qwen2" else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(_split(pre))},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
    metadata = {
        "model": "gpt2",
        "pre": pre,
        "tokens": sorted(ids, key=ids.get),
        "token_type": np.full(len(ids), NORMAL, np.int32),
        "merges": merges,
    }
    for mark in marks:
        looks_special = mark.startswith(("<|", "<｜"))
        metadata["token_type"][ids[mark]] = CONTROL if looks_special else USER_DEFINED
    metadata = {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}
    return _both(content, named, template, architecture, metadata)


def _split(pre: str) -> list[dict]:
    """As the `tokenizer.json` of Qwen2 and of Phi-4 say it."""
    digits = "\\p{N}" if pre == "qwen2" else "\\p{N}{1,3}"
    pattern = (
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" + digits + "| "
        "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    )
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    return [{**split, "invert": False}, {**to_bytes, "trim_offsets": True}]


def _both(content: dict, named: dict, template: str, architecture: str, metadata: dict) -> Both:
    named = {key: token for key, token in named.items() if token is not None}
    config = {**named, "chat_template": template, "tokenizer_class": "PreTrainedTokenizerFast"}
    ids = content["model"]["vocab"] | {t["content"]: t["id"] for t in content["added_tokens"]}
    keys = {
        "bos_token": "bos_token_id",
        "eos_token": "eos_token_id",
        "pad_token": "padding_token_id",
    }
    named_ids = {f"tokenizer.ggml.{keys[key]}": ids[token] for key, token in named.items()}
    metadata = metadata | named_ids | {"general.architecture": architecture}
    return Both(content, config, metadata | {"tokenizer.chat_template": template})


def _folder_file(name: str) -> dict:
    content = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return content | {"truncation": None}


def _entry(index: int, content: str, special: bool = True, **taken: bool) -> dict:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": content, **flags, **taken, "special": special}


def _append(metadata: dict, key: str, more: list) -> None:
    values = metadata[f"tokenizer.ggml.{key}"]
    metadata[f"tokenizer.ggml.{key}"] = np.append(values, np.array(more, values.dtype))


def sentence_piece_metadata(file: Path, **changed: object) -> dict:
    """A model's pieces as a GGUF file says them; `changed` keys replace or, being None, remove."""
    model = list(fields(file.read_bytes()))
    pieces = [dict(fields(value)) for number, value in model if number == 1]
    normalizer = dict(fields(next(value for number, value in model if number == 3)))
    values = {
        "model": "llama",
        "tokens": [piece[1].decode() for piece in pieces],
        "scores": np.float32([struct.unpack("<f", piece.get(2, bytes(4)))[0] for piece in pieces]),
        "token_type": np.int32([piece.get(3, 1) for piece in pieces]),
        "unknown_token_id": next(i for i, piece in enumerate(pieces) if piece.get(3) == 2),
        "add_space_prefix": bool(normalizer.get(3, 1)),
        "remove_extra_whitespaces": bool(normalizer.get(4, 1)),
        **changed,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in values.items() if value is not None}


def fields(data):
    """The fields of a message in protocol buffers: (number, value)."""
    place = 0

    def varint():
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            yield number, data[place : place + size]
            place += size
