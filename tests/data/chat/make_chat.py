"""How `chat.json` and `bytes.json` were made: `python tests/data/chat/make_chat.py`, with the
workbench and transformers 5.23 installed.

`bytes.json` is a byte-level tokenizer with ChatML's control tokens and a `<think>` that is an
ordinary added token, as Qwen3's is. `chat.json` holds what Transformers' `apply_chat_template`
makes of conversations with it and with the tokenizers of `tests/data/tokenizers`: text and ids.
"""

import json
from pathlib import Path

import tokenizers
from transformers import PreTrainedTokenizerFast

from workbench.tokenizers import built_in_chat_template

HERE = Path(__file__).parent
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

# Uses all that Transformers gives a template beside Jinja's own.
EVERYTHING = """\
{%- set seen = namespace(count=0) %}
{% for message in messages %}
    {% if message.role == 'skip' %}
        {% continue %}
    {% endif %}
    {% set seen.count = seen.count + 1 %}
<|im_start|>{{ message.role }} {{ seen.count }}
    {% generation %}
{{ message.content | tojson }}<|im_end|>
    {% endgeneration %}
{% endfor %}
{% if tools %}
{{ tools | tojson(indent=2) }}
{% endif %}
{% if add_generation_prompt %}
<|im_start|>assistant{{ eos_token }}
{% endif %}
"""

CONVERSATIONS = [
    [{"role": "user", "content": "Hello, how are you?"}],
    [
        {"role": "user", "content": "  def f(x):\n    return  x+1  "},
        {"role": "assistant", "content": "It adds one.\n"},
        {"role": "user", "content": "Über naïve 日本語 👍 & <b>'thanks'</b>"},
    ],
    [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "The fox?"},
        {"role": "assistant", "content": "<think>\nA fox.\n</think>\n\nQuick"},
        {"role": "user", "content": "And the dog?\n"},
    ],
]


def byte_level() -> tokenizers.Tokenizer:
    """One token per byte, then the added ones."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    library = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = tokenizers.decoders.ByteLevel()
    library.add_special_tokens(CONTROL)
    library.add_tokens(["<think>", "</think>"])
    return library


def cases() -> list[dict]:
    """Conversations with the tokenizers and templates they are for."""
    built_in = {
        "bytes": ("chatml", "qwen2.5", "qwen3"),
        "plain": ("gemma",),
        "spaced": ("llama2", "vicuna"),
    }
    made = []
    for tokenizer, names in built_in.items():
        for name in names:
            for messages in CONVERSATIONS:
                case = {"tokenizer": tokenizer, "template": name, "messages": messages}
                made.append({**case, "source": built_in_chat_template(name), "arguments": {}})
    quiet = {"enable_thinking": False}
    made.append({**made[6], "arguments": quiet})
    skipped = [*CONVERSATIONS[1], {"role": "skip", "content": "x"}, *CONVERSATIONS[0]]
    tools = {"tools": [{"name": "ask", "text": "<é>"}]}
    everything = {"tokenizer": "bytes", "template": None, "source": EVERYTHING}
    made.append({**everything, "messages": skipped, "arguments": tools})
    return made


def reference(case: dict) -> dict:
    """The case with Transformers' text and ids."""
    folder = HERE if case["tokenizer"] == "bytes" else HERE.parent / "tokenizers"
    named = {
        "bytes": {"eos_token": "<|im_end|>"},
        "plain": {"bos_token": "<bos>", "eos_token": "<eos>"},
        "spaced": {"bos_token": "<s>", "eos_token": "</s>"},
    }[case["tokenizer"]]
    file = str(folder / f"{case['tokenizer']}.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=file, **named)
    tokenizer.chat_template = case["source"]
    options = {"add_generation_prompt": True, **case["arguments"]}
    text = tokenizer.apply_chat_template(case["messages"], tokenize=False, **options)
    ids = tokenizer.apply_chat_template(case["messages"], return_dict=True, **options)["input_ids"]
    kept = {key: value for key, value in case.items() if key != "source" or not case["template"]}
    return {**kept, "text": text, "ids": ids}


if __name__ == "__main__":
    byte_level().save(str(HERE / "bytes.json"), pretty=False)
    lines = [json.dumps(reference(case), ensure_ascii=False) for case in cases()]
    (HERE / "chat.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
