"""The trees of backbones and of tasks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.backbones.backbone import Backbone
from workbench.backbones.config import StackConfig
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig
from workbench.backbones.kept_adapter import KeptAdapter
from workbench.backbones.parseq_config import PARSeqConfig
from workbench.preprocessing.preprocessor import Preprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tasks.task import Task
from workbench.tokenizers.byte_pair import BytePairTokenizer
from workbench.tokenizers.characters import CharacterTokenizer
from workbench.tokenizers.sentence_piece import SentencePieceTokenizer
from workbench.tokenizers.tokenizer import Tokenizer
from workbench.tokenizers.word_piece import WordPieceTokenizer
from workbench.tree.describe import arguments, brief, components
from workbench.tree.layers import Walk
from workbench.tree.node import Node
from workbench.tree.shows import Tree

CONVERTERS = ("image_converter", "audio_converter")


def tree(model: Backbone | Task, depth: int | None) -> Tree:
    """Return the tree of a backbone or task, printed down to `depth` levels."""
    return Tree(tree_of(model), depth)


def tree_of(model: Backbone | Task) -> Node:
    """Return the root node of a backbone's or task's tree."""
    name = Path(model.preset or model.name).name
    walk = Walk()
    if isinstance(model, Backbone):
        parts = (*_backbone_parts(model, walk), *_adapters(model))
    else:
        parts = _task_parts(model, walk)
    return Node(name, kind=type(model).__name__, children=tuple(parts))


def _task_parts(task: Task, walk: Walk) -> Iterator[Node]:
    if task.preprocessor is not None:
        yield _preprocessor(task.preprocessor)
    backbone = tuple(_backbone_parts(task.backbone, walk))
    yield Node("backbone", kind=type(task.backbone).__name__, children=backbone)
    yield from walk.parts(task)
    yield from _adapters(task)
    if isinstance(task, CausalLM):
        yield Node("sampler", detail=repr(task.sampler))


def _backbone_parts(backbone: Backbone, walk: Walk) -> Iterator[Node]:
    walk.skip(backbone)
    yield from _components(backbone.config)
    yield from walk.parts(backbone)


@functools.singledispatch
def _components(config: Any) -> list[Node]:
    """Return nodes that describe the stacks of a configuration."""
    return []


@_components.register
def _(config: StackConfig) -> list[Node]:
    return [Node("components", detail=components(config))]


@_components.register
def _(config: EncoderDecoderConfig) -> list[Node]:
    return [
        Node("encoder components", detail=components(config.encoder)),
        Node("decoder components", detail=components(config.decoder)),
    ]


@_components.register
def _(config: PARSeqConfig) -> list[Node]:
    return [
        Node("image components", detail=components(config.vision.stack)),
        Node("decoder components", detail=components(config.decoder)),
    ]


# -- readers of the inputs -----------------------------------------------------------------------


def _preprocessor(preprocessor: Preprocessor) -> Node:
    found = [(name, preprocessor.converter(name)) for name in CONVERTERS]
    parts = [_tokenizer(preprocessor.tokenizer)]
    parts += [_part(name, one) for name, one in found if one is not None]
    settings = preprocessor.get_config()
    return _part("preprocessor", preprocessor, settings, tuple(parts))


def _part(
    name: str, thing: Any, settings: dict[str, Any] | None = None, children: tuple[Node, ...] = ()
) -> Node:
    values = thing.get_config() if settings is None else settings
    known = {key: value for key, value in values.items() if value is not None}
    return Node(name, type(thing).__name__, arguments(known), children=children)


def _tokenizer(tokenizer: Tokenizer) -> Node:
    return Node("tokenizer", detail=f"{tokenizer!r}, {_kind(tokenizer)}")


@functools.singledispatch
def _kind(tokenizer: Tokenizer) -> str:
    return "as a tokenizer.json says"


@_kind.register
def _(tokenizer: BytePairTokenizer) -> str:
    return "byte-level BPE"


@_kind.register
def _(tokenizer: SentencePieceTokenizer) -> str:
    return "SentencePiece"


@_kind.register
def _(tokenizer: WordPieceTokenizer) -> str:
    return "WordPiece"


@_kind.register
def _(tokenizer: CharacterTokenizer) -> str:
    return "characters"


# -- adapters ------------------------------------------------------------------------------------


def _adapters(model: Backbone | Task) -> Iterator[Node]:
    """Yield a node for the adapters; the projections show the parameters of the active one."""
    adapters = model.adapters
    if not adapters.kept:
        return
    parts = []
    for name, adapter in adapters.kept.items():
        state = ""
        if name == adapters.active:
            state = ", merged" if adapters.merged else ", active"
        parts.append(Node(name, detail=_adapter(adapter) + state))
    yield Node("adapters", children=tuple(parts))


def _adapter(adapter: KeptAdapter) -> str:
    config = adapter.config
    alpha = "" if config.alpha is None else f", alpha {brief(config.alpha)}"
    targets = ", ".join(config.targets)
    return f"rank {config.rank}{alpha} on {targets}, {adapter.parameters:,} parameters"
