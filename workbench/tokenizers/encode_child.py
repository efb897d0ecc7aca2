"""Tokenise texts with a `tokenizer.json`; run by path in a process with limits
(`limited_child.py`)."""

import tokenizers


class Refused(Exception):
    """Tokenising failed; the user sees only the message."""


class Loaded:
    """The tokenizer of this process; sent first."""

    library: tokenizers.Tokenizer


def load(content):  # noqa: ANN001, ANN201
    """Load the content of a `tokenizer.json`."""
    Loaded.library = tokenizers.Tokenizer.from_str(content)
    Loaded.library.no_truncation()
    Loaded.library.no_padding()


def encode(text, special, most):  # noqa: ANN001, ANN201
    """Return the ids of a text; with `special`, those of the post-processor too."""
    ids = Loaded.library.encode(text, add_special_tokens=special).ids
    if len(ids) > most:
        raise Refused(f"expected at most {most} tokens for {len(text)} characters, got {len(ids)}")
    return ids


def answer(request):  # noqa: ANN001, ANN201
    """Load a tokenizer, or return the ids of a text."""
    return load(**request) if "content" in request else encode(**request)
