"""How `marked.json` was made: `python tests/data/marked/make_marked.py`, with transformers 5.24.

What Transformers makes of texts and chats with the tokenizers of `both_formats.py`, each loaded
from a folder: for every one, texts that contain control tokens with their ids, and conversations
with the ids of `apply_chat_template`.
"""

import json
import sys
import tempfile
from pathlib import Path

from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1] / "tokenizers"))
from both_formats import EVERY, Both, conversations  # noqa: E402
from mixed_texts import marked_texts, mixed_texts  # noqa: E402

TEXTS, CHATS = 60, 10
SAID = ["the fox", " the dog", "\n", "def f(x):\n    return  x", "  日本 ", "naïveté"]


def reference(both: Both) -> dict:
    """Texts and chats of one tokenizer with Transformers' ids."""
    with tempfile.TemporaryDirectory() as place:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(both.write_folder(Path(place)))
    words = [tokenizer.decode([token_id]) for token_id in range(len(tokenizer))]
    texts = marked_texts(TEXTS, words, both.marks)
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    chats = conversations(mixed_texts(5 * CHATS, SAID))
    options = {"add_generation_prompt": True, "return_dict": True}
    return {
        "texts": list(zip(texts, ids, strict=True)),
        "chats": [[c, tokenizer.apply_chat_template(c, **options)["input_ids"]] for c in chats],
    }


if __name__ == "__main__":
    lines = [
        f"{json.dumps(name)}: {json.dumps(reference(make()), ensure_ascii=False)}"
        for name, make in EVERY.items()
    ]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (HERE / "marked.json").write_text(text, encoding="utf-8")
