"""Turn text into token ids and back: base classes that families subclass, a reader of Transformers
folders, and chat templates.

May import `backbones`, `storage` and the floors below them; models reach it only as an argument.
"""

from workbench.tokenizers.byte_pair import BytePairTokenizer
from workbench.tokenizers.chat import ChatTemplate
from workbench.tokenizers.chat_built_in import built_in_chat_template
from workbench.tokenizers.convert import to_byte_pair, to_sentence_piece, to_word_piece
from workbench.tokenizers.incremental import IncrementalDecoder
from workbench.tokenizers.patterns import GPT2_PATTERN, LLAMA3_PATTERN
from workbench.tokenizers.sentence_piece import SentencePieceTokenizer
from workbench.tokenizers.tokenizer import Tokenizer
from workbench.tokenizers.tokenizer_json import TransformersTokenizer
from workbench.tokenizers.transformers_folder import load_transformers_tokenizer
from workbench.tokenizers.word_piece import WordPieceTokenizer

__all__ = [
    "GPT2_PATTERN",
    "LLAMA3_PATTERN",
    "BytePairTokenizer",
    "ChatTemplate",
    "IncrementalDecoder",
    "SentencePieceTokenizer",
    "Tokenizer",
    "TransformersTokenizer",
    "WordPieceTokenizer",
    "built_in_chat_template",
    "load_transformers_tokenizer",
    "to_byte_pair",
    "to_sentence_piece",
    "to_word_piece",
]
