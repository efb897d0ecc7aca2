"""The architecture of a transformer as values: each choice is a frozen dataclass.

Every value checks itself when it is made, so an impossible configuration is refused before any
array exists. `positions` and `limits` are parts of this module: families find both here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from workbench.backbones.block_kinds import BranchNorm, Parallel, PostNorm, Sequential
from workbench.backbones.limits import (
    MAX_EXPERTS,
    MAX_HEADS,
    MAX_LAYERS,
    MAX_PARAMETERS,
    SIZE_OR_NONE,
    check_positive,
    check_rate,
    check_size,
)
from workbench.backbones.limits import MAX_SIZE as MAX_SIZE
from workbench.backbones.positions import Alibi, Learned, LongScaling, Rope
from workbench.backbones.positions import Llama3Scaling as Llama3Scaling
from workbench.errors import SettingError
from workbench.kinds import NOT_NEGATIVE, NOTHING, POSITIVE

Activation = Literal["silu", "gelu", "gelu_tanh", "relu"]


@dataclass(frozen=True)
class RMSNorm:
    """Root-mean-square norm (Zhang and Sennrich 2019). Gemma stores scale - 1: offset 1."""

    epsilon: float = 1e-6
    offset: float = 0.0

    def __post_init__(self) -> None:
        check_positive("RMSNorm", "epsilon", self.epsilon)


@dataclass(frozen=True)
class LayerNorm:
    """Layer norm with a scale and optionally a bias (Ba et al. 2016)."""

    epsilon: float = 1e-5
    bias: bool = True

    def __post_init__(self) -> None:
        check_positive("LayerNorm", "epsilon", self.epsilon)


@dataclass(frozen=True)
class Dense:
    """A two-matrix feed-forward network."""

    width: int
    activation: Activation = "gelu_tanh"
    bias: bool = True

    def __post_init__(self) -> None:
        check_size("Dense", "width", self.width)

    def parameters(self, width: int) -> int:
        """Count the parameters of its matrices in a model of this width."""
        return 2 * width * self.width


@dataclass(frozen=True)
class Gated:
    """A gated feed-forward network (Shazeer 2020): down(act(gate(x)) * up(x))."""

    width: int
    activation: Activation = "silu"
    bias: bool = False

    def __post_init__(self) -> None:
        check_size("Gated", "width", self.width)

    def parameters(self, width: int) -> int:
        """Count the parameters of its matrices in a model of this width."""
        return 3 * width * self.width


@dataclass(frozen=True)
class MoE:
    """A mixture of gated experts (Shazeer et al. 2017); each token uses `active` of them.

    Router probabilities are a softmax over all experts; `normalize` makes those of the active
    experts sum to 1. `shared_width` adds an expert that every token uses, weighted by its own gate.
    `balance_loss` is the coefficient of the load-balancing loss in training (Fedus et al. 2022).
    """

    experts: int
    active: int
    width: int
    normalize: bool = True
    shared_width: int | None = None
    activation: Activation = "silu"
    balance_loss: float = 0.0

    def __post_init__(self) -> None:
        check_size("MoE", "experts", self.experts, MAX_EXPERTS)
        check_size("MoE", "active", self.active, self.experts)
        check_size("MoE", "width", self.width)
        SIZE_OR_NONE.check("MoE: shared_width", self.shared_width)
        NOT_NEGATIVE.check("MoE: balance_loss", self.balance_loss)

    def parameters(self, width: int) -> int:
        """Count the parameters of its matrices in a model of this width."""
        return width * (self.experts * (3 * self.width + 1) + 3 * (self.shared_width or 0))


@dataclass(frozen=True)
class Attention:
    """Grouped-query attention. `scale` multiplies the scores; `soft_cap` bounds them by tanh.

    `bias` is on queries, keys and values, `output_bias` on what comes out. `query_key_norm` norms
    queries and keys before they are rotated: each head alone, or with `norms_heads_together` all
    heads as one vector. Where it is not `causal` a token sees those after it too.
    """

    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    soft_cap: float | None = None
    bias: bool = False
    output_bias: bool = False
    query_key_norm: RMSNorm | None = None
    norms_heads_together: bool = False
    causal: bool = True

    def __post_init__(self) -> None:
        for name in ("heads", "kv_heads", "head_dim"):
            check_size("Attention", name, getattr(self, name), MAX_HEADS)
        if self.heads % self.kv_heads:
            raise SettingError(
                f"Attention: heads: expected a multiple of kv_heads ({self.kv_heads}), "
                f"got {self.heads}"
            )
        check_positive("Attention", "scale", self.scale)
        (POSITIVE | NOTHING).check("Attention: soft_cap", self.soft_cap)


Mlp = Dense | Gated | MoE
Block = Sequential | Parallel | PostNorm | BranchNorm


@dataclass(frozen=True)
class LayerSpec:
    """What may differ from layer to layer. `window`: how many keys a query sees, itself included
    (where attention is not causal: how far it sees each way); None: all. `post_attention_norm` and
    `post_mlp_norm` norm a branch before it is added. `rope` and `mlp` stand in for the decoder's
    own. A layer that `has_positions` False knows the order of tokens by causality alone."""

    window: int | None = None
    post_attention_norm: bool = False
    post_mlp_norm: bool = False
    rope: Rope | None = None
    mlp: Mlp | None = None
    has_positions: bool = True

    def __post_init__(self) -> None:
        SIZE_OR_NONE.check("LayerSpec: window", self.window)


@dataclass(frozen=True, kw_only=True, repr=False)
class StackConfig:
    """A stack of transformer blocks that reads vectors. Its depth is the length of `layers`."""

    width: int
    layers: tuple[LayerSpec, ...]
    position: Rope | Learned | Alibi
    norm: RMSNorm | LayerNorm
    attention: Attention
    mlp: Mlp
    block: Block = field(default_factory=Sequential)
    scale_embedding: bool = False
    norm_embedding: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_size(owner, "width", self.width)
        check_size(owner, "number of layers", len(self.layers), MAX_LAYERS)
        check_rate(owner, "dropout", self.dropout)
        for rope in {self.position, *(layer.rope for layer in self.layers)}:
            if isinstance(rope, Rope):
                rope.check_head(self.attention.head_dim)
        if self.matrix_parameters > MAX_PARAMETERS:
            raise SettingError(
                f"{owner}: expected at most {MAX_PARAMETERS} parameters, "
                f"got {self.matrix_parameters} from {self}"
            )

    @property
    def max_length(self) -> int | None:
        """The longest sequence the positions allow, in tokens; None without a limit."""
        return self.position.length if isinstance(self.position, Learned) else None

    @property
    def matrix_parameters(self) -> int:
        """Parameters in the matrices (norms and biases left out)."""
        heads = 2 * self.attention.heads + 2 * self.attention.kv_heads
        attention = self.width * heads * self.attention.head_dim * len(self.layers)
        mlps = sum((layer.mlp or self.mlp).parameters(self.width) for layer in self.layers)
        return attention + mlps + self.width * (self.max_length or 0)

    def stretches(self, length: int) -> bool:
        """Whether sequences that reach `length` tokens need the long factors of longrope."""
        scaling = self.position.scaling if isinstance(self.position, Rope) else None
        return isinstance(scaling, LongScaling) and length > scaling.original_length

    def __repr__(self) -> str:
        # Leave out the layers: a thousand equal ones would print as a thousand lines.
        parts = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.name != "layers"]
        return f"{type(self).__name__}({len(self.layers)} layers, {', '.join(parts)})"


@dataclass(frozen=True, kw_only=True, repr=False)
class DecoderConfig(StackConfig):
    """A transformer from tokens to logits: a token embedding, a stack, and an output projection,
    which is the embedding's table if `tied`."""

    vocabulary_size: int
    tied: bool = True
    final_soft_cap: float | None = None

    def __post_init__(self) -> None:
        check_size("DecoderConfig", "vocabulary_size", self.vocabulary_size)
        (POSITIVE | NOTHING).check("DecoderConfig: final_soft_cap", self.final_soft_cap)
        super().__post_init__()

    @property
    def matrix_parameters(self) -> int:
        """Parameters in the matrices (norms and biases left out)."""
        tables = self.vocabulary_size * (1 if self.tied else 2)
        return super().matrix_parameters + self.width * tables


def layer_count(owner: str, num_layers: int) -> int:
    """Check `num_layers` before a family builds a tuple of layer specifications from it.

    Raises:
        SettingError: it is no integer from 1 to `MAX_LAYERS`.
    """
    check_size(owner, "num_layers", num_layers, MAX_LAYERS)
    return num_layers


def head_width(owner: str, hidden_dim: int, heads: int) -> int:
    """Return hidden_dim / heads, for families that do not set a head's width.

    Raises:
        SettingError: one of the two is no positive integer, or heads does not divide hidden_dim.
    """
    check_size(owner, "hidden_dim", hidden_dim)
    check_size(owner, "number of heads", heads, MAX_HEADS)
    if hidden_dim % heads:
        raise SettingError(
            f"{owner}: hidden_dim: expected a multiple of the number of heads ({heads}), "
            f"got {hidden_dim}"
        )
    return hidden_dim // heads
