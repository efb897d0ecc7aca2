"""Shared by families with experts: the choice of sparse layers, and their weights in both
formats."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.backbones import config
from workbench.backbones.weights import Rule
from workbench.errors import SettingError
from workbench.families import llama
from workbench.families.shared_rules import OURS


def sparse_layers(
    owner: str,
    num_layers: int,
    window: int | None,
    dense: config.Gated,
    step: int,
    dense_layers: Sequence[int],
) -> tuple[config.LayerSpec, ...]:
    """Return the specs of all layers: every `step`-th has experts unless it is in `dense_layers`.

    Raises:
        SettingError: a number is impossible, or `dense_layers` names a missing layer.
    """
    count = config.layer_count(owner, num_layers)
    config.check_size(owner, "decoder_sparse_step", step)
    if isinstance(dense_layers, str) or not isinstance(dense_layers, Sequence):
        raise SettingError(
            f"{owner}: mlp_only_layers: expected a list of indices, got {dense_layers!r}"
        )
    outside = [i for i in dense_layers if type(i) is not int or not 0 <= i < count]
    if outside:
        raise SettingError(
            f"{owner}: mlp_only_layers: expected indices from 0 to {count - 1}, got {outside}"
        )
    return tuple(
        config.LayerSpec(window, mlp=dense if (i + 1) % step or i in dense_layers else None)
        for i in range(count)
    )


_KINDS = ("query", "key", "value")


def hub_attention(decoder: str, kernel: str, output: str) -> tuple[Rule, ...]:
    """Return rules for attention and norms in KerasHub's files; `kernel` has a placeholder for
    query, key or value."""
    block = f"layers/{decoder}{{_i}}/"
    attention = block + "_self_attention_layer/"
    kernels = tuple(
        Rule(
            f"{OURS}attention/{kind}/kernel",
            f"{attention}{kernel.format(kind)}/vars/0",
            "hkd -> dhk",
        )
        for kind in _KINDS
    )
    return (
        *kernels,
        Rule(OURS + "attention/output/kernel", f"{attention}{output}/vars/0", "dhk -> hkd"),
        Rule(OURS + "attention_norm/scale", block + "_self_attention_layernorm/vars/0"),
        Rule(OURS + "mlp_norm/scale", block + "_feedforward_layernorm/vars/0"),
    )


def hub_gated(ours: str, theirs: str) -> tuple[Rule, ...]:
    """Return rules for a gated network in KerasHub's files."""
    return (
        Rule(f"{ours}/gate/kernel", f"{theirs}/_feedforward_gate_dense/vars/0", "fd -> df"),
        Rule(f"{ours}/up/kernel", f"{theirs}/_feedforward_intermediate_dense/vars/0", "fd -> df"),
        Rule(f"{ours}/down/kernel", f"{theirs}/_feedforward_output_dense/vars/0", "df -> fd"),
    )


def hub_experts(mixture: str) -> tuple[Rule, ...]:
    """Return rules for router and experts in KerasHub's files, which join gate and up."""
    bank, kernel = mixture + "/expert_bank/vars/", OURS + "mlp/experts/"
    return (
        hub_router(mixture),
        Rule(kernel + "gate", bank + "0", "efd -> edf", part=(0, 2)),
        Rule(kernel + "up", bank + "0", "efd -> edf", part=(1, 2)),
        Rule(kernel + "down", bank + "1", "edf -> efd"),
    )


def hub_router(mixture: str) -> Rule:
    """Return the rule for the router in KerasHub's files."""
    theirs = mixture + "/_sparse_feedforward_gate_dense/vars/0"
    return Rule(OURS + "mlp/router/kernel", theirs, "ed -> de")


def experts(mixture: str, gate: str, up: str, down: str) -> tuple[Rule, ...]:
    """Return rules for router and experts in Transformers' files, with one tensor per expert."""
    block = llama.LAYER + mixture
    kernels = tuple(
        Rule(f"{OURS}mlp/experts/{ours}", llama.theirs(f"{block}.experts.{{e}}.{theirs}.weight"))
        for ours, theirs in {"gate": gate, "up": up, "down": down}.items()
    )
    return (Rule(OURS + "mlp/router/kernel", llama.theirs(f"{block}.gate.weight")), *kernels)


PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
