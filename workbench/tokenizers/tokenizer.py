"""The base of all tokenizers: KerasHub's methods, streamed decoding, chat marks."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, overload

import numpy as np

from workbench import ports
from workbench.errors import PresetError, PromptError, SettingError, shown
from workbench.kinds import NOTHING, integer
from workbench.ports import NamedPresets
from workbench.tokenizers.checks import as_rows, as_text, expect, index_of, integer_dtype
from workbench.tokenizers.control import WRITTEN_BY_MODELS, marks
from workbench.tokenizers.incremental import IncrementalDecoder, Piece, TextRule
from workbench.tokenizers.turn_tokens import end_of_turn_tokens

PLAIN_NAME = re.compile(r"[\w-]+\.json")
WHITE_SPACE = r"[^\S\x1c-\x1f]*"  # as the `tokenizers` library knows it
MAX_LENGTH = 2**24  # ids of a text that is padded: 128 MB


class Tokenizer(ABC):
    """Base of all tokenizers. A family names its special tokens as class attributes:

    ```python
    class Llama3Tokenizer(BytePairTokenizer):
        split_pattern = LLAMA3_PATTERN
        ignore_merges = True
        start_token = "<|begin_of_text|>"
        end_token = "<|end_of_text|>"
        end_token2 = "<|eot_id|>"
    ```

    A vocabulary that lacks one of them raises `PresetError`. `extra_special_tokens` are required
    too; `extra_stop_tokens` end generation if the vocabulary has them. Without a `pad_token`
    padding is id 0, so use the padding mask to find padding.

    `sequence_length`: if set, every row of ids is cut or padded to it.
    `dtype`: any integer type; ids are Python integers in any case.
    `config_file` and `name`: kept for KerasHub's configs.
    """

    start_token: str | None = None
    end_token: str | None = None
    end_token2: str | None = None
    pad_token: str | None = None
    extra_special_tokens: tuple[str, ...] = ()
    extra_stop_tokens: tuple[str, ...] = ()
    marks_take_space: bool = False
    """Whether control tokens of a chat absorb the white space after them, as Phi-3's do."""
    chat_template: str | None = None
    """The Jinja template of a conversation; None for a base model. See `chat`."""

    presets = NamedPresets()
    file_assets: ClassVar[tuple[str, ...]] = ()
    _asset_arguments: ClassVar[tuple[str, ...]] = ()
    _rule = TextRule()
    _prepends: bool | None = None
    _loaded: Any = None  # the library's object, once there is a vocabulary

    def __init__(
        self,
        sequence_length: int | None = None,
        dtype: object = None,
        name: str | None = None,
        config_file: str = "tokenizer.json",
    ) -> None:
        (integer(1, MAX_LENGTH) | NOTHING).check("sequence_length", sequence_length)
        plain = isinstance(config_file, str) and PLAIN_NAME.fullmatch(config_file)
        expect("config_file", plain, "a file name ending in .json", config_file)
        self.sequence_length = sequence_length
        self.dtype = integer_dtype(dtype)
        self.name = name or type(self).__name__.lower()
        self.config_file = config_file
        self._pieces: dict[int, Piece] = {}

    # A kind of tokenizer defines these.

    @abstractmethod
    def _encode(self, text: str) -> list[int]: ...

    @abstractmethod
    def _piece(self, token: str, token_id: int) -> Piece:
        """Return what a token of the vocabulary adds to the text."""

    @abstractmethod
    def _id_of(self, token: str) -> int | None: ...

    @abstractmethod
    def _token_of(self, token_id: int) -> str | None: ...

    @abstractmethod
    def vocabulary_size(self) -> int:
        """Return one more than the largest token id."""

    @abstractmethod
    def save_assets(self, dir_path: str | Path) -> None:
        """Write the vocabulary files, named as in `file_assets`, to an existing folder."""

    @abstractmethod
    def load_assets(self, dir_path: str | Path) -> None:
        """Read the vocabulary files that `save_assets` or KerasHub wrote to a folder."""

    @property
    def _backend(self) -> Any:
        self._check_vocabulary()
        return self._loaded

    def _check_vocabulary(self) -> None:
        if self._loaded is None:
            raise PresetError(f"{type(self).__name__} has no vocabulary yet: call load_assets()")

    # Text to ids.

    @overload
    def tokenize(self, inputs: str) -> list[int]: ...
    @overload
    def tokenize(self, inputs: Iterable[str]) -> list[list[int]]: ...
    def tokenize(self, inputs: str | Iterable[str]) -> list[int] | list[list[int]]:
        """Return token ids of a string, or of each string of a list, tuple or array.

        No start or end token is added. Bytes are read as UTF-8.

        Raises:
            PromptError: an input is no string, or contains a lone surrogate.
        """
        if isinstance(inputs, np.ndarray):
            inputs = inputs.tolist()
        if isinstance(inputs, str | bytes):
            return self._row(inputs)
        if not isinstance(inputs, list | tuple):
            raise PromptError(
                f"prompt: expected a string or a list of strings, got {type(inputs).__name__}"
            )
        return [self._row(text) for text in inputs]

    __call__ = tokenize

    def _row(self, value: str | bytes) -> list[int]:
        ids = self._encode(as_text(value))
        if self.sequence_length is None:
            return ids
        ids = ids[: self.sequence_length]
        return ids + [self.pad_token_id] * (self.sequence_length - len(ids))

    def control_tokens(self, template: str | None = None) -> frozenset[str]:
        """Return the control tokens: special tokens, marks such as `<tool_call>` that a vocabulary
        finds in any text, and those that a chat template writes between messages."""
        special = (self._token_of(token_id) for token_id in self.special_token_ids)
        named = filter(self.has_token, {*marks(template), *WRITTEN_BY_MODELS})
        return self._marks.union(named, (token for token in special if token is not None))

    @property
    def _marks(self) -> frozenset[str]:
        """Control tokens among those that the vocabulary finds in a text before it splits."""
        return frozenset()

    def tokenize_marked(self, text: str, control: frozenset[str]) -> list[int]:
        """Return token ids of a text in which each of the `control` tokens is one id.

        Text between them is tokenised separately, with the space in front that some kinds put
        before a text. White space after a mark is dropped if `marks_take_space`.
        """
        longest_first = sorted(map(re.escape, control), key=len, reverse=True)
        space = WHITE_SPACE if self.marks_take_space else ""
        parts = re.split(f"({'|'.join(longest_first) or '(?!)'}){space}", as_text(text))
        ids: list[int] = []
        for index, part in enumerate(parts):
            is_token = index % 2 == 1
            ids += [self.token_to_id(part)] if is_token else self._encode_between(part)
        return ids

    def _encode_between(self, text: str) -> list[int]:
        return self._encode(text)

    # Ids to text.

    @overload
    def detokenize(self, inputs: Sequence[int]) -> str: ...
    @overload
    def detokenize(self, inputs: Sequence[Sequence[int]]) -> list[str]: ...
    @overload
    def detokenize(self, inputs: np.ndarray) -> str | list[str]: ...
    def detokenize(
        self, inputs: Sequence[int] | Sequence[Sequence[int]] | np.ndarray
    ) -> str | list:
        """Return the text of one row of ids, or a list of texts for a list of rows or an array
        (rows, length).

        Special tokens appear as written (SentencePiece's control tokens as nothing); `generate`
        leaves out the ids in `special_token_ids`. An id without a token, such as a padding row of
        an embedding table, adds nothing.

        Raises:
            SettingError: an id is negative or no integer.
        """
        rows, batched = as_rows(inputs)
        texts = [self._text(row) for row in rows]
        return texts if batched else texts[0]

    def _text(self, ids: Iterable[int]) -> str:
        decoder = IncrementalDecoder(self.piece, self._rule, frozenset())
        return "".join(map(decoder.push, ids)) + decoder.flush()

    def decoder(self, prompt_ids: Iterable[int] = ()) -> IncrementalDecoder:
        """Return a decoder for streamed ids that ignores `special_token_ids`.

        It continues after `prompt_ids`, so that the space between words is kept: the prompt's text,
        the deltas and the flush together are the text of all ids. The bytes of a character that is
        incomplete at the end of the prompt are part of the first delta.
        """
        decoder = IncrementalDecoder(self.piece, self._rule, self.special_token_ids)
        for token_id in prompt_ids:
            decoder.push(int(token_id))
        return decoder

    def piece(self, token_id: int) -> Piece:
        """Return what a token adds to a text (see `incremental`), None for an id without one."""
        if token_id not in self._pieces:
            token = self._token_of(token_id) if 0 <= token_id < self.vocabulary_size() else None
            self._pieces[token_id] = None if token is None else self._piece(token, token_id)
        return self._pieces[token_id]

    def token_text(self, token_id: int) -> str:
        """Return a token for display: with its space, incomplete characters as `\\xe2`, a token
        without text by its name, an id without a token as `<id>`."""
        piece = self.piece(token_id)
        if piece is None:
            return f"<{token_id}>"
        if isinstance(piece, bytes):
            return piece.decode("utf-8", "backslashreplace")
        return piece or self.id_to_token(token_id)

    # The vocabulary.

    def id_to_token(self, id: int) -> str:
        """Return the token of an id, as the vocabulary writes it.

        Raises:
            SettingError: no token has the id.
        """
        index = index_of(id)
        token = self._token_of(index) if index < self.vocabulary_size() else None
        if token is None:
            raise SettingError(
                f"id: no token has {shown(index)}; there are {self.vocabulary_size()} ids"
            )
        return token

    def token_to_id(self, token: str) -> int:
        """Return the id of a token, as the vocabulary writes it.

        Raises:
            SettingError: the vocabulary lacks the token.
        """
        token_id = self._id_of(as_text(token, "token"))
        if token_id is None:
            raise SettingError(f"token: {token[:80]!r} is not in the vocabulary")
        return token_id

    def has_token(self, token: str) -> bool:
        """Whether the vocabulary contains a token."""
        return self._id_of(as_text(token, "token")) is not None

    def get_vocabulary(self) -> list[str]:
        """Return all tokens, in the order of their ids."""
        tokens = map(self._token_of, range(self.vocabulary_size()))
        return [token for token in tokens if token is not None]

    # Special tokens.

    @property
    def prepends_start_token(self) -> bool:
        """Whether the reference puts the start token before a prompt. `tokenize` never does."""
        return self._prepends_by_default() if self._prepends is None else self._prepends

    @prepends_start_token.setter
    def prepends_start_token(self, value: bool) -> None:
        self._prepends = value

    def _prepends_by_default(self) -> bool:
        return True

    @property
    def start_token_id(self) -> int | None:
        """The id of the start token, None without one."""
        return None if self.start_token is None else self.token_to_id(self.start_token)

    @property
    def end_token_id(self) -> int | None:
        """The id of the end token, None without one."""
        return None if self.end_token is None else self.token_to_id(self.end_token)

    @property
    def end_token2_id(self) -> int | None:
        """The id of a family's second end token (Llama 3's end of turn), None without one."""
        return None if self.end_token2 is None else self.token_to_id(self.end_token2)

    @property
    def pad_token_id(self) -> int:
        """The id that pads rows; 0 without a padding token."""
        return 0 if self.pad_token is None else self.token_to_id(self.pad_token)

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """The ids that end generation by default: end tokens and ends of a turn."""
        turns = end_of_turn_tokens(self.chat_template)
        tokens = (self.end_token, self.end_token2, *self.extra_stop_tokens, *turns)
        return tuple(dict.fromkeys(self._known_ids(tokens)))

    @property
    def special_tokens(self) -> list[str]:
        """The special tokens that the vocabulary must have."""
        named = (self.start_token, self.end_token, self.end_token2, self.pad_token)
        return [*dict.fromkeys(t for t in (*named, *self.extra_special_tokens) if t is not None)]

    @property
    def special_token_ids(self) -> frozenset[int]:
        """The ids that generated text leaves out."""
        return frozenset(self._known_ids(self.special_tokens)) | set(self.stop_token_ids)

    def _known_ids(self, tokens: Iterable[str | None]) -> list[int]:
        ids = (self._id_of(token) for token in tokens if token is not None)
        return [token_id for token_id in ids if token_id is not None]

    def check_special_tokens(self, where: object) -> None:
        """Check that the vocabulary has all special tokens.

        Raises:
            PresetError: some are missing; the message names `where` and the tokens.
        """
        if missing := [token for token in self.special_tokens if not self.has_token(token)]:
            needed = f"{type(self).__name__} needs the tokens {shown(missing)}"
            raise PresetError(f"{where}: {needed} in its vocabulary")

    # Configuration, as KerasHub writes it.

    def get_config(self) -> dict:
        """Return the constructor's arguments without the vocabulary, which is in the assets."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "config_file": self.config_file,
            "sequence_length": self.sequence_length,
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        """Make a tokenizer without vocabulary from `get_config()` or a KerasHub config: call
        `load_assets` next.

        Raises:
            PresetError: a key is unknown, or the config names vocabulary files.
        """
        if not isinstance(config, dict):
            raise PresetError.at(cls.__name__, "config", "an object", type(config).__name__)
        config = {key: value for key, value in config.items() if key != "trainable"}
        unknown = sorted(config.keys() - _arguments(cls))
        if unknown:
            raise PresetError(f"config of {cls.__name__}: unknown keys {shown(unknown)}")
        for key in cls._asset_arguments:
            if config.get(key) is not None:
                raise PresetError.at(f"config of {cls.__name__}", key, None, shown(config[key]))
        return cls(**config)

    @classmethod
    def from_preset(cls, preset: str) -> Self:
        """Load the tokenizer of a preset, named as for a task's `from_preset`.

        Raises:
            PresetError: the preset has no tokenizer, or one of another class.
        """
        return ports.store().load_tokenizer(preset, cls)

    def save_to_preset(self, preset_dir: str | Path) -> None:
        """Write configuration and vocabulary as a preset folder, atomically.

        Raises:
            PresetError: the folder cannot be written.
        """
        ports.store().save_preset(self, preset_dir)

    def __repr__(self) -> str:
        size = "no vocabulary" if self._loaded is None else f"{self.vocabulary_size()} tokens"
        return f"{type(self).__name__}({size})"


def _arguments(cls: type) -> set[str]:
    """Return the names of the arguments of the constructors of a class and its bases."""
    names: set[str] = set()
    for base in cls.__mro__[:-1]:
        if "__init__" in vars(base):
            names |= inspect.signature(base.__init__).parameters.keys()
    return names - {"self", "kwargs"}
