"""Writes a tokenizer as the files of a Transformers folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.processors import TemplateProcessing

from workbench.errors import PresetError
from workbench.storage.files import CHAT_TEMPLATE, TOKENIZER
from workbench.tokenizers import (
    SentencePieceTokenizer,
    Tokenizer,
    TransformersTokenizer,
    WordPieceTokenizer,
)
from workbench.tokenizers.library import LibraryTokenizer
from workbench.tokenizers.sentence_piece_json import sentence_piece_json

SENTENCE_PIECE = "tokenizer.model"
_NAMED = {"bos_token": "start_token", "eos_token": "end_token", "pad_token": "pad_token"}


def write_tokenizer(folder: Path, preprocessor: Any, sentence_piece_class: str) -> None:
    """Write the tokenizer so that Transformers and the preprocessor give a prompt the same ids.

    Args:
        folder: an existing folder.
        preprocessor: holds the tokenizer and the tokens to put around a prompt.
        sentence_piece_class: the family's tokenizer class in Transformers; used for a SentencePiece
            model that cannot be written as a `tokenizer.json`.

    Raises:
        PresetError: those files cannot hold this kind of tokenizer.
    """
    tokenizer = preprocessor.tokenizer
    before, after = preprocessor.prompt_frame
    starts = before is not None
    config: dict[str, Any] = {
        theirs: getattr(tokenizer, ours)
        for theirs, ours in _NAMED.items()
        if getattr(tokenizer, ours) is not None
    }
    proto = tokenizer.proto if isinstance(tokenizer, SentencePieceTokenizer) else None
    if proto is not None:  # also written, because Transformers' SentencePiece classes read it
        (folder / SENTENCE_PIECE).write_bytes(proto)
    whole = _library_file(tokenizer, before, after)
    if whole is None:
        config |= {"tokenizer_class": sentence_piece_class, "legacy": False}
    else:
        (folder / TOKENIZER).write_text(whole, encoding="utf-8")
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config |= {
        "add_bos_token": starts,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": preprocessor.sequence_length,
    }
    if isinstance(tokenizer, WordPieceTokenizer):  # the models that read segments
        config["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    if tokenizer.chat_template is not None:
        (folder / CHAT_TEMPLATE).write_text(tokenizer.chat_template, encoding="utf-8")
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def _library_file(tokenizer: Tokenizer, before: str | None, after: str | None) -> str | None:
    """Return the `tokenizer.json`, with a step that adds the tokens around a text, if any; None for
    a SentencePiece model that cannot be written in this form."""
    whole = _without_frame(tokenizer)
    framed = [token for token in (before, after) if token is not None]
    if whole is None or not framed or isinstance(tokenizer, TransformersTokenizer):
        return whole
    library = tokenizers.Tokenizer.from_str(whole)
    second = before if after is None else None  # an end token divides a pair by itself
    library.post_processor = TemplateProcessing(
        single=" ".join(token for token in (before, "$A", after) if token),
        pair=" ".join(token for token in (before, "$A", after, second, "$B:1") if token)
        + (f" {after}:1" if after else ""),
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in dict.fromkeys(framed)],
    )
    return library.to_str(pretty=True)


def _without_frame(tokenizer: Tokenizer) -> str | None:
    if isinstance(tokenizer, SentencePieceTokenizer):
        return sentence_piece_json(tokenizer)
    if isinstance(tokenizer, LibraryTokenizer):
        return tokenizer.library_json()
    raise PresetError(f"{type(tokenizer).__name__} cannot be written for Transformers")


def token_ids(tokenizer: Tokenizer | None, rows: int) -> dict[str, Any]:
    """Return a config's settings for the first, last (one or several) and padding token. Without a
    tokenizer they are None, because missing settings would mean the defaults of the model type. Ids
    from `rows` on, which have no row in the model's table, are left out: Transformers loads no
    model that pads with one."""
    if tokenizer is None:
        return dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    stops = [stop for stop in tokenizer.stop_token_ids if stop < rows]
    start, pad = tokenizer.start_token_id, tokenizer.pad_token_id
    padded = tokenizer.pad_token is not None and pad < rows
    return {
        "bos_token_id": start if start is not None and start < rows else None,
        "eos_token_id": stops[0] if len(stops) == 1 else stops or None,
        "pad_token_id": pad if padded else None,
    }
