"""The tokenizer of a Transformers folder."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import PresetError
from workbench.tokenizers.files import read_json, read_text
from workbench.tokenizers.sentence_piece import SentencePieceTokenizer
from workbench.tokenizers.tokenizer import Tokenizer
from workbench.tokenizers.tokenizer_json import TOKENIZER_JSON, TransformersTokenizer

SENTENCE_PIECE = "tokenizer.model"
END_OF_TURN = ("<end_of_turn>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>")
"""What closes a turn in the chat templates of the families; each ends generation too."""


def load_transformers_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer of a Transformers folder: its `tokenizer.json`, else its `tokenizer.model`.

    Start, end and padding tokens come from `tokenizer_config.json` and `special_tokens_map.json`;
    what ends generation, from the end token, `generation_config.json` (one id or several; without
    that file `config.json`) and the chat template's end of a turn. `prepends_start_token` says
    whether Transformers puts the start token first; `tokenize` never does.

    From `tokenizer.model` alone, control tokens written in a text stay letters. Tokens that the
    folder adds to that model are refused: only `tokenizer.json` says where they belong.
    Raises `PresetError` naming the file.
    """
    folder = Path(folder)
    config = _optional(folder, "tokenizer_config.json")
    if (folder / TOKENIZER_JSON).is_file():
        tokenizer: Tokenizer = TransformersTokenizer(
            folder / TOKENIZER_JSON, prepends_start_token=config.get("add_bos_token")
        )
    elif (folder / SENTENCE_PIECE).is_file():
        tokenizer = _sentence_piece(folder, config)
    else:
        raise PresetError(f"{folder}: expected {TOKENIZER_JSON} or {SENTENCE_PIECE}, found neither")
    return _with_special_tokens(tokenizer, folder, config)


def _sentence_piece(folder: Path, config: dict) -> SentencePieceTokenizer:
    tokenizer = SentencePieceTokenizer(folder / SENTENCE_PIECE)
    tokenizer.prepends_start_token = config.get("add_bos_token", True) is True
    return tokenizer


def _with_special_tokens(tokenizer: Tokenizer, folder: Path, config: dict) -> Tokenizer:
    where = folder / "tokenizer_config.json"
    _check_added_tokens(tokenizer, folder, config)
    named = _optional(folder, "special_tokens_map.json") | config
    stops = _stop_tokens(tokenizer, folder, config)
    tokenizer.start_token = _token(named, "bos_token", where)
    tokenizer.end_token = _token(named, "eos_token", where) or next(iter(stops), None)
    tokenizer.extra_stop_tokens = stops
    tokenizer.check_special_tokens(where)
    pad = _token(named, "pad_token", where)
    tokenizer.pad_token = pad if pad and tokenizer.has_token(pad) else None
    return tokenizer


def _check_added_tokens(tokenizer: Tokenizer, folder: Path, config: dict) -> None:
    """Every token that the small files add must be in the vocabulary, under the same id."""
    where = folder / "tokenizer_config.json"
    added = {
        _content(entry, key, where): int(key)
        for key, entry in config.get("added_tokens_decoder", {}).items()
    } | _optional(folder, "added_tokens.json")
    for token, token_id in added.items():
        if not tokenizer.has_token(token) or tokenizer.token_to_id(token) != token_id:
            raise PresetError(
                f"{folder}: adds the token {token[:80]!r} with id {token_id}, which is not so in "
                f"the vocabulary of {tokenizer.vocabulary_size()} tokens"
            )


def _stop_tokens(tokenizer: Tokenizer, folder: Path, config: dict) -> tuple[str, ...]:
    """Tokens that end generation besides the end token, as far as the vocabulary has them."""
    ids = [i for i in _end_ids(folder) if 0 <= i < tokenizer.vocabulary_size()]
    template = _chat_template(folder, config)
    turns = [token for token in END_OF_TURN if token in template and tokenizer.has_token(token)]
    return tuple(dict.fromkeys([*map(tokenizer.id_to_token, ids), *turns]))


def _end_ids(folder: Path) -> list[int]:
    name = "generation_config.json"
    if not (folder / name).is_file():
        name = "config.json"
    ids = _optional(folder, name).get("eos_token_id")
    ids = [] if ids is None else ids if isinstance(ids, list) else [ids]
    if not all(type(i) is int for i in ids):
        raise PresetError.at(folder / name, "eos_token_id", "an id or a list of ids", ids)
    return ids


def _chat_template(folder: Path, config: dict) -> str:
    """The text of the folder's chat templates; they are only searched here, never run."""
    file = folder / "chat_template.jinja"
    return str(config.get("chat_template", "")) + (read_text(file) if file.is_file() else "")


def _optional(folder: Path, name: str) -> dict:
    file = folder / name
    return read_json(file) if file.is_file() else {}


def _token(named: dict, key: str, where: Path) -> str | None:
    entry = named.get(key)
    return None if entry is None else _content(entry, key, where)


def _content(entry: object, key: str, where: Path) -> str:
    """A token as these files write it: a string, or an object with its `content`."""
    content = entry.get("content") if isinstance(entry, dict) else entry
    if not isinstance(content, str):
        raise PresetError.at(where, key, "a token", content)
    return content
