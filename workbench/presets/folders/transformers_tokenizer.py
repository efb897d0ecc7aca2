"""A tokenizer as the files of a Transformers folder."""

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
    """Write the tokenizer so that Transformers gives a prompt the ids the preprocessor gives it.

    Args:
        folder: an existing folder.
        preprocessor: its tokenizer, and the tokens it puts around a prompt.
        sentence_piece_class: what Transformers calls the family's tokenizer; used for a
            SentencePiece model that cannot be written as a `tokenizer.json`.

    Raises:
        PresetError: the tokenizer is of a kind those files cannot hold.
    """
    tokenizer = preprocessor.tokenizer
    before, after = preprocessor.prompt_frame
    starts = before is not None
    config: dict[str, Any] = {
        theirs: getattr(tokenizer, ours)
        for theirs, ours in _NAMED.items()
        if getattr(tokenizer, ours) is not None
    }
    if isinstance(tokenizer, SentencePieceTokenizer):  # kept besides, as its own classes read it
        (folder / SENTENCE_PIECE).write_bytes(tokenizer.proto)
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
    """`tokenizer.json`, with a step that puts tokens around a text where some are wanted; None
    for a SentencePiece model that cannot be written so."""
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
    """What a config says of a text's first, last and padding token; several may end it. Without
    a tokenizer it says that there are none: silence would mean those of the model type. Nor are
    there any from `rows` on, for which the model's table has no row: Transformers reads no model
    that pads with one."""
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
