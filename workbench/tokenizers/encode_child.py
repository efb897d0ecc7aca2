"""Splits texts with a tokenizer of a file; run by path in a process with limits
(`limited_child.py`)."""

import tokenizers


class Refused(Exception):
    """There are no ids; the message says why, and is all that the user sees."""


class Loaded:
    """The tokenizer of this process, once it was sent one."""

    library = None


def load(content):  # noqa: ANN001, ANN201
    """Takes the content of a `tokenizer.json`."""
    Loaded.library = tokenizers.Tokenizer.from_str(content)
    Loaded.library.no_truncation()
    Loaded.library.no_padding()


def encode(text, special, most):  # noqa: ANN001, ANN201
    """The ids of a text; `special`: with what the file puts around one."""
    ids = Loaded.library.encode(text, add_special_tokens=special).ids
    if len(ids) > most:
        raise Refused(f"expected at most {most} tokens for {len(text)} characters, got {len(ids)}")
    return ids


def answer(request):  # noqa: ANN001, ANN201
    """None for a tokenizer, ids for a text."""
    return load(**request) if "content" in request else encode(**request)
