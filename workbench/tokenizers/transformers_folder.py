"""The tokenizer of a Transformers folder."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.errors import PresetError, shown
from workbench.kinds import FLAG, INTEGER, NOTHING, OBJECT, list_of
from workbench.storage.files import CHAT_TEMPLATE
from workbench.tokenizers.files import read_bytes, read_json, read_text
from workbench.tokenizers.sentence_piece import SentencePieceTokenizer
from workbench.tokenizers.tokenizer import Tokenizer
from workbench.tokenizers.tokenizer_json import TOKENIZER_JSON, TransformersTokenizer
from workbench.tokenizers.word_piece import WordPieceTokenizer

SENTENCE_PIECE = "tokenizer.model"
WORD_PIECE = "vocab.txt"


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
        tokenizer: Tokenizer = _whole(folder, config)
    elif (folder / SENTENCE_PIECE).is_file():
        tokenizer = _sentence_piece(folder, config)
    elif (folder / WORD_PIECE).is_file():
        tokenizer = _word_piece(folder, config)
    else:
        names = f"{TOKENIZER_JSON}, {SENTENCE_PIECE} or {WORD_PIECE}"
        raise PresetError(f"{folder}: expected {names}, found none")
    return _with_special_tokens(tokenizer, folder, config)


def _whole(folder: Path, config: dict) -> TransformersTokenizer:
    starts = _flag(folder, config, "add_bos_token", None)
    tokenizer = TransformersTokenizer(folder / TOKENIZER_JSON, prepends_start_token=starts)
    if (folder / SENTENCE_PIECE).is_file():
        tokenizer.sentence_piece = read_bytes(folder / SENTENCE_PIECE)
    return tokenizer


def _sentence_piece(folder: Path, config: dict) -> SentencePieceTokenizer:
    tokenizer = SentencePieceTokenizer(folder / SENTENCE_PIECE)
    tokenizer.prepends_start_token = _flag(folder, config, "add_bos_token", True)
    return tokenizer


def _word_piece(folder: Path, config: dict) -> WordPieceTokenizer:
    lowercase = _flag(folder, config, "do_lower_case", True)
    names = ("cls_token", "sep_token", "pad_token", "mask_token")
    where = folder / "tokenizer_config.json"
    return WordPieceTokenizer(
        folder / WORD_PIECE,
        lowercase=lowercase,
        strip_accents=_flag(folder, config, "strip_accents", lowercase),
        split_on_cjk=_flag(folder, config, "tokenize_chinese_chars", True),
        oov_token=_token(config, "unk_token", where) or "[UNK]",
        special_tokens=[t for t in (_token(config, name, where) for name in names) if t],
        special_tokens_in_strings=True,
    )


def _with_special_tokens(tokenizer: Tokenizer, folder: Path, config: dict) -> Tokenizer:
    where = folder / "tokenizer_config.json"
    _check_added_tokens(tokenizer, folder, config)
    named = _optional(folder, "special_tokens_map.json") | config
    stops = _stop_tokens(tokenizer, folder, config)
    # BERT has no first and last token of a text but those of a classified one.
    start, end = _token(named, "bos_token", where), _token(named, "eos_token", where)
    tokenizer.start_token = start or _token(named, "cls_token", where)
    tokenizer.end_token = end or next(iter(stops), None) or _token(named, "sep_token", where)
    tokenizer.extra_stop_tokens = stops
    tokenizer.chat_template = _chat_template(folder, config)
    tokenizer.check_special_tokens(where)
    pad = _token(named, "pad_token", where)
    tokenizer.pad_token = pad if pad and tokenizer.has_token(pad) else None
    return tokenizer


def _check_added_tokens(tokenizer: Tokenizer, folder: Path, config: dict) -> None:
    """Every token that the small files add must be in the vocabulary, under the same id."""
    more = _optional(folder, "added_tokens.json")
    for token, token_id in more.items():
        INTEGER.check(f"{folder / 'added_tokens.json'}: {shown(token)}", token_id, PresetError)
    for token, token_id in (_added_by_config(folder, config) | more).items():
        if not tokenizer.has_token(token) or tokenizer.token_to_id(token) != token_id:
            raise PresetError(
                f"{folder}: adds the token {shown(token)} with id {token_id}, which is not so in "
                f"the vocabulary of {tokenizer.vocabulary_size()} tokens"
            )


def _added_by_config(folder: Path, config: dict) -> dict[str, int]:
    """Tokens and ids of `added_tokens_decoder`, which has them by id."""
    where = folder / "tokenizer_config.json"
    added = config.get("added_tokens_decoder")
    (OBJECT | NOTHING).check(f"{where}: added_tokens_decoder", added, PresetError)
    found = {}
    for key, entry in (added or {}).items():
        if not re.fullmatch("[0-9]{1,10}", key):
            raise PresetError.at(where, "added_tokens_decoder", "ids", shown(key))
        found[_content(entry, f"added_tokens_decoder: {key}", where)] = int(key)
    return found


def _stop_tokens(tokenizer: Tokenizer, folder: Path, config: dict) -> tuple[str, ...]:
    """Tokens that end generation besides the end token, as far as the vocabulary has them."""
    ids = [i for i in _end_ids(folder) if 0 <= i < tokenizer.vocabulary_size()]
    return tuple(dict.fromkeys(map(tokenizer.id_to_token, ids)))


def _end_ids(folder: Path) -> list[int]:
    name = "generation_config.json"
    if not (folder / name).is_file():
        name = "config.json"
    ids = _optional(folder, name).get("eos_token_id")
    (INTEGER | list_of(INTEGER) | NOTHING).check(f"{folder / name}: eos_token_id", ids, PresetError)
    return [] if ids is None else ids if isinstance(ids, list) else [ids]


def _chat_template(folder: Path, config: dict) -> str | None:
    """The folder's chat template: its file, else what the configuration says."""
    if (folder / CHAT_TEMPLATE).is_file():
        return read_text(folder / CHAT_TEMPLATE)
    template = config.get("chat_template")
    if template is None or isinstance(template, str):
        return template
    return _default_template(template, folder / "tokenizer_config.json")


def _default_template(entries: object, where: Path) -> str:
    """Of several templates with names, the default, else the first."""
    listed = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    named = {str(entry.get("name")): entry.get("template") for entry in entries} if listed else {}
    template = named.get("default", next(iter(named.values()), None))
    if not isinstance(template, str):
        expected = "a string, or several with names"
        raise PresetError.at(where, "chat_template", expected, shown(entries))
    return template


def _flag(folder: Path, config: dict, key: str, default: bool | None) -> bool | None:
    """A flag of the tokenizer's configuration, `default` where it is absent or null."""
    value = config.get(key)
    (FLAG | NOTHING).check(f"{folder / 'tokenizer_config.json'}: {key}", value, PresetError)
    return default if value is None else value


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
        raise PresetError.at(where, key, "a token", shown(content))
    return content
