"""Load the tokenizer of a Transformers folder."""

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
    """Load the tokenizer of a Transformers folder: `tokenizer.json`, else `tokenizer.model`, else
    `vocab.txt`.

    Start, end and padding tokens come from `tokenizer_config.json` and `special_tokens_map.json`.
    Generation ends at the end token, the ids in `generation_config.json` (or, without that file,
    `config.json`) and the chat template's end of a turn. `prepends_start_token` tells whether
    Transformers puts the start token first; `tokenize` never does.

    With `tokenizer.model` alone, control tokens in a text are read as letters. Tokens that the
    folder adds to that model are refused: only `tokenizer.json` says how to find them in a text.

    Raises:
        PresetError: a file is missing or malformed; the message names it.
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
    tokenizer.prepends_start_token = bool(_flag(folder, config, "add_bos_token", True))
    return tokenizer


def _word_piece(folder: Path, config: dict) -> WordPieceTokenizer:
    lowercase = bool(_flag(folder, config, "do_lower_case", True))
    names = ("cls_token", "sep_token", "pad_token", "mask_token")
    where = folder / "tokenizer_config.json"
    return WordPieceTokenizer(
        folder / WORD_PIECE,
        lowercase=lowercase,
        strip_accents=bool(_flag(folder, config, "strip_accents", lowercase)),
        split_on_cjk=bool(_flag(folder, config, "tokenize_chinese_chars", True)),
        oov_token=_token(config, "unk_token", where) or "[UNK]",
        special_tokens=[t for t in (_token(config, name, where) for name in names) if t],
        special_tokens_in_strings=True,
    )


def _with_special_tokens(tokenizer: Tokenizer, folder: Path, config: dict) -> Tokenizer:
    where = folder / "tokenizer_config.json"
    _check_added_tokens(tokenizer, folder, config)
    named = _optional(folder, "special_tokens_map.json") | config
    stops = _stop_tokens(tokenizer, folder, config)
    # BERT has no start and end token; use those of a classified text.
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
    """Check that each token that the small files add is in the vocabulary under its id."""
    more = _optional(folder, "added_tokens.json")
    for token, token_id in more.items():
        INTEGER.check(f"{folder / 'added_tokens.json'}: {shown(token)}", token_id, PresetError)
    for token, token_id in (_added_by_config(folder, config) | more).items():
        if not tokenizer.has_token(token) or tokenizer.token_to_id(token) != token_id:
            raise PresetError(
                f"{folder}: adds the token {shown(token)} with id {token_id}, but the vocabulary "
                f"of {tokenizer.vocabulary_size()} tokens does not have it there"
            )


def _added_by_config(folder: Path, config: dict) -> dict[str, int]:
    """Return tokens and ids of `added_tokens_decoder`, which lists them by id."""
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
    """Return the tokens in the vocabulary, besides the end token, that end generation."""
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
    """Return the folder's chat template: its own file, else the configuration's."""
    if (folder / CHAT_TEMPLATE).is_file():
        return read_text(folder / CHAT_TEMPLATE)
    template = config.get("chat_template")
    if template is None or isinstance(template, str):
        return template
    return _default_template(template, folder / "tokenizer_config.json")


def _default_template(entries: object, where: Path) -> str:
    """Return the default of several named templates, else the first."""
    listed = entries if isinstance(entries, list) else []
    whole = all(isinstance(entry, dict) for entry in listed)
    named = {str(entry.get("name")): entry.get("template") for entry in listed} if whole else {}
    template = named.get("default", next(iter(named.values()), None))
    if not isinstance(template, str):
        expected = "a string, or a list of named templates"
        raise PresetError.at(where, "chat_template", expected, shown(entries))
    return template


def _flag(folder: Path, config: dict, key: str, default: bool | None) -> bool | None:
    """Return a flag of the tokenizer's configuration, `default` if it is absent or null."""
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
    """Return a token that a file gives as a string or as an object with `content`."""
    content = entry.get("content") if isinstance(entry, dict) else entry
    if not isinstance(content, str):
        raise PresetError.at(where, key, "a token", shown(content))
    return content
