"""Shows an example token by token, as the model sees it."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.data.examples import Example
from workbench.tokenizers import Tokenizer
from workbench.tokenizers.incremental import IncrementalDecoder


@dataclass(frozen=True, slots=True)
class Piece:
    """One token.

    `text`: the text it adds: empty while the bytes of a character are incomplete; a special
        token's name.
    `id`: its id.
    `loss`: whether the model learns to write it.
    `special`: whether it is a special token, which is not part of any text.
    """

    text: str
    id: int
    loss: bool
    special: bool


def preview(example: Example, tokenizer: Tokenizer) -> list[Piece]:
    """Return the tokens of an example. Joined, the pieces that are not special give the text of
    its ids without special tokens."""
    decoder, special = tokenizer.decoder(), tokenizer.special_token_ids
    pieces = [
        _piece(int(token), bool(loss) and place > 0, decoder, tokenizer, special)
        for place, (token, loss) in enumerate(zip(example.ids, example.loss, strict=True))
    ]
    rest = decoder.flush()
    if not rest:
        return pieces
    last = max(place for place, piece in enumerate(pieces) if not piece.special)
    held = pieces[last]
    pieces[last] = Piece(held.text + rest, held.id, held.loss, False)
    return pieces


def _piece(
    token: int, loss: bool, decoder: IncrementalDecoder, tokenizer: Tokenizer, special: frozenset
) -> Piece:
    if token in special:
        return Piece(tokenizer.id_to_token(token), token, loss, True)
    return Piece(decoder.push(token), token, loss, False)
