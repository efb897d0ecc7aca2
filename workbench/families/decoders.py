"""Decoder configurations that many families share; a family's file contains only the
differences."""

from __future__ import annotations

from typing import Any

from workbench.backbones import config
from workbench.errors import SettingError


def llama_like(
    owner: str,
    *,
    vocabulary_size: int,
    num_layers: int,
    hidden_dim: int,
    num_query_heads: int,
    num_key_value_heads: int,
    mlp: config.Mlp,
    position: config.Rope,
    layer_norm_epsilon: float,
    tied: bool,
    dropout: float,
    head_dim: int | None = None,
    layer: config.LayerSpec | None = None,
    layers: tuple[config.LayerSpec, ...] | None = None,
    block: config.Block | None = None,
    query_key_norm: bool = False,
    **attention: Any,
) -> config.DecoderConfig:
    """Return a decoder with RMSNorm and rotary positions.

    Args:
        owner: the backbone's class, for errors.
        head_dim: None for hidden_dim / num_query_heads.
        layer: the spec of all layers; `layers`: one spec each if they differ.
        block: None for a sequential block.
        query_key_norm: whether to norm queries and keys, with the epsilon of all norms.
        attention: more settings of `config.Attention`, such as `bias`.

    Raises:
        SettingError: a setting is impossible.
    """
    if head_dim is None:
        head_dim = config.head_width(owner, hidden_dim, num_query_heads)
    config.check_size(owner, "head_dim", head_dim)
    count = config.layer_count(owner, num_layers)
    norm = config.RMSNorm(layer_norm_epsilon)
    return config.DecoderConfig(
        vocabulary_size=vocabulary_size,
        width=hidden_dim,
        layers=layers or (layer or config.LayerSpec(),) * count,
        position=position,
        norm=norm,
        attention=config.Attention(
            num_query_heads,
            num_key_value_heads,
            head_dim,
            scale=head_dim**-0.5,
            query_key_norm=norm if query_key_norm else None,
            **attention,
        ),
        mlp=mlp,
        block=block or config.Sequential(),
        tied=tied,
        dropout=dropout,
    )


def gpt_like(
    owner: str,
    *,
    vocabulary_size: int,
    num_layers: int,
    hidden_dim: int,
    num_heads: int,
    intermediate_dim: int,
    activation: config.Activation,
    position: config.Rope | config.Learned | config.Alibi,
    dropout: float,
    layer_norm_epsilon: float = 1e-5,
    num_key_value_heads: int | None = None,
    bias: bool = True,
    **others: Any,
) -> config.DecoderConfig:
    """Return a decoder with LayerNorm and two matrices in its feed-forward networks.

    Args:
        owner: the backbone's class, for errors.
        num_key_value_heads: None for the number of query heads.
        bias: whether projections have biases.
        others: more settings of `config.DecoderConfig`, such as `block`.

    Raises:
        SettingError: a setting is impossible.
    """
    head_dim = config.head_width(owner, hidden_dim, num_heads)
    return config.DecoderConfig(
        vocabulary_size=vocabulary_size,
        width=hidden_dim,
        layers=(config.LayerSpec(),) * config.layer_count(owner, num_layers),
        position=position,
        norm=config.LayerNorm(layer_norm_epsilon),
        attention=config.Attention(
            num_heads,
            num_heads if num_key_value_heads is None else num_key_value_heads,
            head_dim,
            scale=head_dim**-0.5,
            bias=bias,
            output_bias=bias,
        ),
        mlp=config.Dense(intermediate_dim, activation, bias=bias),
        dropout=dropout,
        **others,
    )


def expect_default(owner: str, name: str, value: object, expected: object) -> None:
    """Refuse any other value of a KerasHub setting that supports only one value here."""
    if value != expected:
        raise SettingError(f"{owner}: {name}: expected {expected!r}, got {value!r}")


def check_part(owner: str, name: str, part: float) -> None:
    """Refuse a rotated part of each head that is empty or larger than the head."""
    config.check_positive(owner, name, part)
    if part > 1:
        raise SettingError(f"{owner}: {name}: expected a number of at most 1, got {part}")
